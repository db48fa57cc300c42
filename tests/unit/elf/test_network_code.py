"""Which files connect: by their own imports, by the libraries that they bring along, and by those that they need."""

from __future__ import annotations

from pathlib import Path

import pytest

from socksify.elf import network_code
from tests.support.connecting_packages import file_of
from tests.support.elf_files import ElfFile

GO = b"\x04\0\0\0\x04\0\0\0\x04\0\0\0Go\0\0some"


@pytest.fixture(autouse=True)
def unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network_code, "_judged", {})
    monkeypatch.setattr(network_code, "_read", {})


def written(path: Path, file: ElfFile, more: bytes = b"") -> str:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(file.data() + more)
    return str(path)


@pytest.mark.parametrize("function", [name.decode() for name in network_code._FUNCTIONS])
def test_a_file_that_imports_such_a_function(function: str, tmp_path: Path) -> None:
    assert network_code.connects(written(tmp_path / "a.so", ElfFile(("malloc", function))))


@pytest.mark.parametrize("functions", [(), ("malloc", "dlopen"), ("socket", "send", "recv"), ("PyObject_connect",)])
def test_a_file_that_imports_none(functions: tuple[str, ...], tmp_path: Path) -> None:
    assert not network_code.connects(written(tmp_path / "a.so", ElfFile(functions)))


@pytest.mark.parametrize("soname", ["libpq.so.5", "libcurl-gnutls.so.4", "libodbc-a5.so.2", "libssh2.so.1"])
def test_a_file_that_needs_a_library_for_connections(soname: str, tmp_path: Path) -> None:
    assert network_code.connects(written(tmp_path / "a.so", ElfFile(needed=(soname,))))


def test_a_file_that_needs_others(tmp_path: Path) -> None:
    needed = ("libc.so.6", "libssl.so.3", "libsqlite3.so.0", "libcthing.so")
    assert not network_code.connects(written(tmp_path / "a.so", ElfFile(needed=needed)))


def test_bundled_libraries_are_looked_into(tmp_path: Path) -> None:
    written(tmp_path / "a.libs" / "libb-1f.so", ElfFile(needed=("libc-2e.so",), runpath="${ORIGIN}"))
    written(tmp_path / "a.libs" / "libc-2e.so", ElfFile(("getaddrinfo",), needed=("libb-1f.so",), runpath="$ORIGIN"))
    module = written(tmp_path / "a.so", ElfFile(needed=("libb-1f.so",), runpath="$ORIGIN/a.libs"))
    assert network_code.connects(module)


def test_bundled_libraries_for_this_machine_are_not(tmp_path: Path) -> None:
    """Pillow brings libxcb along, and would otherwise be named to everybody."""
    written(tmp_path / "a.libs" / "libxcb-1f.so", ElfFile(("connect",)))
    assert not network_code.connects(
        written(tmp_path / "a.so", ElfFile(needed=("libxcb-1f.so",), runpath="$ORIGIN/a.libs"))
    )


@pytest.mark.parametrize(("text", "does"), [(b"net.(*netFD).connect", True), (b"math.Sqrt", False)])
def test_a_file_in_go(text: bytes, does: bool, tmp_path: Path) -> None:
    assert network_code.connects(written(tmp_path / "a.so", ElfFile(note=GO), text)) is does


def test_a_file_is_read_once(tmp_path: Path) -> None:
    file = written(tmp_path / "a.so", ElfFile(("connect",)))
    assert network_code.connects(file)
    written(tmp_path / "a.so", ElfFile())
    assert network_code.connects(file)


@pytest.mark.parametrize(
    ("module", "does"),
    [
        ("psycopg2._psycopg", True),
        ("greenlet._greenlet", False),
        ("msgpack._cmsgpack", False),
        ("multidict._multidict", False),
    ],
)
def test_real_modules(module: str, does: bool) -> None:
    assert network_code.connects(str(file_of(module))) is does


class TestLibraries:
    """The names that are given to dlopen(3)."""

    @pytest.fixture
    def directory(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setenv("LD_LIBRARY_PATH", f"/nonexistent:{tmp_path}")
        return tmp_path

    def test_a_path(self, tmp_path: Path) -> None:
        assert network_code.library_connects(written(tmp_path / "libx.so", ElfFile(("connect",))))
        assert not network_code.library_connects(written(tmp_path / "liby.so", ElfFile()))

    def test_a_name_is_searched(self, directory: Path) -> None:
        written(directory / "libx.so", ElfFile(("connect",)))
        written(directory / "liby.so", ElfFile())
        assert network_code.library_connects("libx.so")
        assert not network_code.library_connects("liby.so")

    def test_the_cache_of_the_loader_is_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        file, other = (written(tmp_path / name, ElfFile(("connect",))) for name in ("libx.so.1", "other-libx.so.1"))
        cache = tmp_path / "ld.so.cache"
        cache.write_bytes(f"head\0libx.so.1\0{other}\0libx.so.1\0{file}\0".encode())
        monkeypatch.setattr(network_code, "_LOADERS_CACHE", str(cache))
        assert list(network_code._files_of("libx.so.1")) == [file]
        assert network_code.library_connects("libx.so.1")
        cache.unlink()
        assert not network_code.library_connects("libx.so.1")

    def test_the_real_cache(self) -> None:
        assert any(Path(file).samefile(file) for file in network_code._files_of("libc.so.6"))
        assert not network_code.library_connects("libc.so.6")

    def test_the_purpose_of_a_library_is_known_by_its_name(self, directory: Path) -> None:
        """libodbc loads drivers that connect."""
        written(directory / "libodbc.so.2", ElfFile(("dlopen",)))
        assert network_code.library_connects("libodbc.so.2")

    def test_what_is_not_there_does_not_connect(self) -> None:
        assert not network_code.library_connects("libpq.so.99")

    def test_what_connects_for_callers_alone(self, directory: Path) -> None:
        written(directory / "libcrypto.so.3", ElfFile(("connect", "getaddrinfo")))
        assert not network_code.library_connects("libcrypto.so.3")
