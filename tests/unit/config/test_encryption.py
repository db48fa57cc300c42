"""Only a process that can read the file of the key can read credentials in an environment."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from socksify.config import encryption, inherited
from socksify.config.errors import ConfigError
from socksify.config.proxy_url import Proxy
from socksify.config.settings import Settings


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the path of the key."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(encryption, "_last", None)
    return tmp_path / f"socksify-{os.geteuid()}"


@pytest.mark.parametrize("data", [b"", b"\0", b"a password", bytes(range(256)) * 999])
def test_it_comes_back(data: bytes, directory: Path) -> None:
    first, second = encryption.encrypt(data), encryption.encrypt(data)
    assert first != second
    assert len(data) < 8 or data not in first
    assert encryption.decrypt(first) == encryption.decrypt(second + b"left of a longer one") == data
    assert [file.name for file in directory.iterdir()] == ["key"]
    assert (directory.stat().st_mode & 0o777, (directory / "key").stat().st_mode & 0o777) == (0o700, 0o600)


def test_only_what_has_credentials_is_sealed(directory: Path) -> None:
    plain, with_user = Proxy("socks5h", "gw", 1), Proxy("socks5h", "gw", 1, None, b"joe", b"S3cr3t")
    inherited.variables(Settings((plain,)), {"SOCKSIFY_PROXY": "gw:1"})
    assert not directory.exists()
    for settings, environ in (
        (Settings((plain, with_user)), {}),
        (Settings((plain,), {"other": (with_user,)}), {}),
        (Settings((plain,)), {"SOCKSIFY_ROUTES": "*=socks5h://joe:S3cr3t@gw"}),
    ):
        text = "".join(inherited.variables(settings, environ).values())
        assert b"S3cr3t" not in bytes.fromhex(text)
        received = inherited.received({inherited.VARIABLE: text})
        assert received is not None and (received.settings, dict(received.known)) == (settings, environ)


def test_without_the_key_it_is_an_error(directory: Path) -> None:
    data = encryption.encrypt(b"a password")
    assert encryption.can_be_decrypted()
    (directory / "key").unlink()
    assert not encryption.can_be_decrypted()
    with pytest.raises(ConfigError, match=r"key: No such file.*start this program again"):
        encryption.decrypt(data)
    assert encryption.decrypt(encryption.encrypt(b"another")) == b"another"
    with pytest.raises(ConfigError, match="another key by now"):
        encryption.decrypt(data)


@pytest.mark.parametrize("cut", [0, 1, 20, -1])
def test_what_nobody_has_sealed_is_an_error(cut: int) -> None:
    data = encryption.encrypt(b"a password")
    with pytest.raises((ValueError, ConfigError)):
        encryption.decrypt(data[:cut])
    with pytest.raises(ConfigError):
        encryption.decrypt(data[:-1] + bytes((data[-1] ^ 1,)))


def test_a_damaged_key_is_replaced(directory: Path) -> None:
    directory.mkdir(0o700)
    (directory / "key").write_bytes(b"short")
    assert encryption.decrypt(encryption.encrypt(b"a")) == b"a"
    assert len((directory / "key").read_bytes()) == 32


@pytest.mark.parametrize("mode", [0o777, 0o750, 0o701])
def test_a_directory_of_others_is_passed_over(mode: int, directory: Path) -> None:
    directory.mkdir()
    directory.chmod(mode)
    assert encryption.decrypt(encryption.encrypt(b"a")) == b"a"
    assert list(directory.iterdir()) == []


def test_a_link_is_passed_over(directory: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(0o700)
    directory.symlink_to(tmp_path / "real")
    assert encryption.decrypt(encryption.encrypt(b"a")) == b"a"
    assert list(directory.iterdir()) == []


def test_where_there_is_no_place_nobody_can_read_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encryption, "_kept", lambda: None)
    data = encryption.encrypt(b"a password")
    assert b"a password" not in data
    with pytest.raises(ConfigError, match="no directory to keep the key in"):
        encryption.decrypt(data)


def test_what_was_never_sealed_needs_no_key() -> None:
    assert encryption.can_be_decrypted()


def test_a_place_that_is_no_directory_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "file"))
    assert encryption.decrypt(encryption.encrypt(b"a")) == b"a"


def test_of_two_processes_that_make_a_key_the_first_ones_counts(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def another_was_first(_: str, file: str) -> None:
        Path(file).write_bytes(b"k" * 32)
        raise FileExistsError

    monkeypatch.setattr(os, "link", another_was_first)
    encrypted = encryption.encrypt(b"a")
    assert [file.name for file in directory.iterdir()] == ["key"]
    assert (directory / "key").read_bytes() == b"k" * 32
    assert encryption.decrypt(encrypted) == b"a"


def test_a_python_without_a_sha3_of_its_own_takes_openssls(monkeypatch: pytest.MonkeyPatch) -> None:
    encrypted = encryption.encrypt(b"a")
    monkeypatch.setitem(sys.modules, "_sha3", None)
    assert encryption.decrypt(encrypted) == b"a"


def test_a_machine_without_any_place_has_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encryption, "_is_private", lambda *_: False)
    with pytest.raises(ConfigError, match="found no directory to keep the key in"):
        encryption.decrypt(encryption.encrypt(b"a"))
