"""Transfers of files: whole, in part, several, as bytes and as text; and the rest of a download that was cut off."""

from __future__ import annotations

import os
import socket
import stat
import threading
from pathlib import Path

import pytest

from tests.support.ftpd import Ftpd
from tests.support.servers import Server
from tests.unit.clients.rftp.runs import Rftp
from tests.unit.clients.rftp.scripted import Scripted

BYTES = bytes(range(256)) * 1000
TEXT = b"one\ntwo\r\nthree\rfour\n"


@pytest.mark.parametrize("mode", ["passive", "active"])
@pytest.mark.parametrize("tls", [[], ["--tls", "--no-verify"]], ids=["plain", "tls"])
def test_there_and_back(rftp: Rftp, ftpd: Ftpd, home: Path, mode: str, tls: list[str]) -> None:
    (home / "here.bin").write_bytes(BYTES)
    # The listing in between sets the server's type to ASCII.
    result = rftp(f"{mode}; put here.bin; ls; get here.bin back.bin; ls", *tls)
    assert result.status == 0, result.err
    assert (ftpd.home / "here.bin").read_bytes() == BYTES
    assert (home / "back.bin").read_bytes() == BYTES
    assert "here.bin" in result.out
    # Only the result is printed: no progress, no replies.
    assert result.err == ""
    assert [line.split()[-1] for line in result.out.splitlines()] == ["here.bin"] * 2


def test_every_connection_goes_through_the_proxy(rftp: Rftp, ftpd: Ftpd) -> None:
    ftpd.give("a", b"x")
    assert rftp("ls; get a").status == 0
    lines = rftp.log.read_text().splitlines()
    assert len(lines) == 3
    assert all(f"via {rftp.proxy.url()}" in line and line.endswith(" ok") for line in lines)


@pytest.mark.parametrize("tls", [[], ["--tls", "--no-verify"]], ids=["plain", "tls"])
def test_in_active_mode_the_server_calls_the_proxy(rftp: Rftp, ftpd: Ftpd, home: Path, tls: list[str]) -> None:
    """This works on any port. socksify itself expects data connections only for FTP's own port."""
    ftpd.give("a", BYTES)
    result = rftp("get a; ls; put a b", "--active", *tls)
    assert result.status == 0, result.err
    assert ((home / "a").read_bytes(), (ftpd.home / "b").read_bytes()) == (BYTES, BYTES)
    lines = rftp.log.read_text().splitlines()
    assert [line.split()[2] for line in lines] == ["connect"] + ["bind", "accepted"] * 3


def test_active_mode_through_a_proxy_without_bind(rftp: Rftp, ftpd: Ftpd, microsocks: Server) -> None:
    ftpd.give("a", BYTES)
    rftp.proxy = microsocks
    result = rftp("get a; pwd", "--active")
    assert (result.status, result.out) == (1, "")
    assert "Command not supported" in result.err
    assert "passive mode" in result.err


def test_names_of_both_sides(rftp: Rftp, ftpd: Ftpd, home: Path) -> None:
    ftpd.give("sub/deep.txt", b"x")
    (home / "into").mkdir()
    result = rftp("get sub/deep.txt; get sub/deep.txt into; get sub/deep.txt 'with space'; put deep.txt sub/other")
    assert result.status == 0, result.err
    assert all((home / name).read_bytes() == b"x" for name in ("deep.txt", "into/deep.txt", "with space"))
    assert (ftpd.home / "sub/other").read_bytes() == b"x"


def test_a_download_to_stdout(rftp: Rftp, ftpd: Ftpd, home: Path) -> None:
    ftpd.give("a", b"the text\n")
    assert rftp("get a -").out == "the text\n"
    assert not (home / "a").exists()


def test_ascii(rftp: Rftp, ftpd: Ftpd, home: Path) -> None:
    (home / "text").write_bytes(TEXT)
    result = rftp("ascii; put text; binary; get text raw; ascii; get text back")
    assert result.status == 0, result.err
    # vsftpd takes the CRs away again.
    assert (ftpd.home / "text").read_bytes() == b"one\ntwo\nthree\rfour\n"
    assert (home / "back").read_bytes() == b"one\ntwo\nthree\rfour\n"


def test_append(rftp: Rftp, ftpd: Ftpd, home: Path) -> None:
    ftpd.give("log", b"one ")
    (home / "more").write_bytes(b"two")
    assert rftp("append more log").status == 0
    assert (ftpd.home / "log").read_bytes() == b"one two"


def test_a_failed_download_leaves_nothing(rftp: Rftp, home: Path) -> None:
    before = sorted(home.iterdir())
    result = rftp("get missing")
    assert result.status == 1
    assert result.err == "rftp: get: 550 Failed to open file.\n"
    assert [path for path in sorted(home.iterdir()) if path not in (*before, rftp.log)] == []


def test_a_failed_download_leaves_the_file_that_was_there(rftp: Rftp, home: Path) -> None:
    (home / "missing").write_text("mine")
    assert rftp("get missing").status == 1
    assert (home / "missing").read_text() == "mine"


@pytest.mark.parametrize("name", ["whole.part", "whole"], ids=["our own", "somebody's"])
def test_reget_goes_on_where_it_was(rftp: Rftp, ftpd: Ftpd, home: Path, name: str) -> None:
    ftpd.give("whole", BYTES)
    # If these bytes were fetched again, the difference would show.
    (home / name).write_bytes(b"?" * 1000)
    assert rftp("reget whole").status == 0
    assert (home / "whole").read_bytes() == b"?" * 1000 + BYTES[1000:]
    assert not (home / "whole.part").exists()


@pytest.mark.parametrize("name", ["gone.part", "gone"], ids=["our own", "somebody's"])
def test_what_cannot_be_gone_on_with_is_left_as_it_was(rftp: Rftp, home: Path, name: str) -> None:
    (home / name).write_bytes(b"here")
    for commands in ("reget gone", "restart 2; get gone"):
        assert rftp(commands).status == 1
        assert (home / name).read_bytes() == b"here"


def test_reget_of_what_is_whole(rftp: Rftp, ftpd: Ftpd, home: Path) -> None:
    ftpd.give("whole", BYTES)
    (home / "whole").write_bytes(BYTES)
    assert rftp("reget whole").status == 0
    assert (home / "whole").read_bytes() == BYTES
    assert not (home / "whole.part").exists()


def test_reget_of_what_is_not_here_yet(rftp: Rftp, ftpd: Ftpd, home: Path) -> None:
    ftpd.give("whole", BYTES)
    assert rftp("reget whole").status == 0
    assert (home / "whole").read_bytes() == BYTES


def test_restart_is_for_the_next_transfer_alone(rftp: Rftp, ftpd: Ftpd, home: Path) -> None:
    ftpd.give("whole", BYTES)
    (home / "whole").write_bytes(b"?" * 1000)
    assert rftp("restart 500; get whole; get whole again").status == 0
    assert (home / "whole").read_bytes() == b"?" * 500 + BYTES[500:]
    assert (home / "again").read_bytes() == BYTES


def test_restart_of_an_upload(rftp: Rftp, ftpd: Ftpd, home: Path) -> None:
    ftpd.give("whole", b"?" * 10)
    (home / "whole").write_bytes(b"0123456789abcdef")
    assert rftp("restart 10; put whole").status == 0
    assert (ftpd.home / "whole").read_bytes() == b"??????????abcdef"


@pytest.mark.parametrize("commands", ["restart 5000; get whole", "restart x", "ascii; restart 5", "ascii; reget whole"])
def test_a_restart_that_cannot_be(rftp: Rftp, ftpd: Ftpd, commands: str) -> None:
    ftpd.give("whole", BYTES)
    assert rftp(commands).status == 1


def test_mget_and_mput(rftp: Rftp, ftpd: Ftpd, home: Path) -> None:
    for name in ("a.txt", "b.txt", "c.dat", ".hidden.txt", "one/x.txt", "two/y.txt"):
        ftpd.give(name, name.encode())
    assert rftp("mget *.txt */?.txt c.dat").status == 0
    got = {path.name: path.read_text() for path in home.glob("*.*") if path != rftp.log and path.name != ".netrc"}
    assert got == {"a.txt": "a.txt", "b.txt": "b.txt", "x.txt": "one/x.txt", "y.txt": "two/y.txt", "c.dat": "c.dat"}
    ftpd.clear()
    assert rftp("mput [ab].txt c.dat").status == 0
    assert sorted(path.name for path in ftpd.home.iterdir()) == ["a.txt", "b.txt", "c.dat"]


def test_mget_leaves_directories_out(rftp: Rftp, ftpd: Ftpd) -> None:
    ftpd.give("file", b"x")
    ftpd.give("directory/inner", b"x")
    assert rftp("mget *").status == 0


@pytest.mark.parametrize("commands", ["mget *.none", "mput *.none"])
def test_no_match_is_a_failure(rftp: Rftp, commands: str) -> None:
    result = rftp(commands)
    assert (result.status, result.err) == (1, f"rftp: {commands.split()[0]}: *.none: no match\n")


def test_one_that_fails_does_not_keep_the_others_back(rftp: Rftp, ftpd: Ftpd, home: Path) -> None:
    ftpd.give("b", b"x")
    result = rftp("mget a b; pwd")
    assert (result.status, result.out) == (1, "")
    assert (home / "b").read_bytes() == b"x"
    assert result.err == "rftp: a: 550 Failed to open file.\nrftp: mget: 1 of 2 files failed\n"


def test_a_link_is_followed_and_a_device_written_to(rftp: Rftp, ftpd: Ftpd, home: Path) -> None:
    ftpd.give("a", b"new")
    (home / "real").write_text("old")
    (home / "link").symlink_to("real")
    os.mkfifo(home / "pipe")
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append((home / "pipe").read_bytes()))
    reader.start()
    assert rftp("get a link; get a pipe").status == 0
    reader.join(10)
    assert ((home / "real").read_text(), got) == ("new", [b"new"])
    assert stat.S_ISFIFO((home / "pipe").stat().st_mode)


def test_a_link_laid_where_the_part_goes_is_not_followed(rftp: Rftp, ftpd: Ftpd, home: Path) -> None:
    ftpd.give("a", b"new")
    (home / "victim").write_text("old")
    (home / "a.part").symlink_to("victim")
    assert rftp("get a").status == 1
    assert (home / "victim").read_text() == "old"


def test_a_server_cannot_choose_where_files_go(rftp: Rftp, home: Path) -> None:
    """The listing contains paths, of which only the names are used."""
    (home / "inner").mkdir()
    os.chdir(home / "inner")
    with Scripted({"NLST": b"../escaped\r\n/etc/passwd\r\n", "LIST": b"", "RETR": b"data"}) as server:
        assert rftp.run("-c", "mget *", f"anonymous@{server.host}", str(server.port)).status == 0
    assert sorted(path.name for path in (home / "inner").iterdir()) == ["escaped", "passwd"]
    assert not (home / "escaped").exists()


def test_a_name_that_cannot_be_does_not_keep_the_others_back(rftp: Rftp, home: Path) -> None:
    with Scripted({"NLST": b"a\0b\r\nother\r\n", "LIST": b"", "RETR": b"data"}) as server:
        result = rftp.run("-c", "mget *", f"anonymous@{server.host}", str(server.port))
    assert result.status == 1 and result.err.endswith("rftp: mget: 1 of 2 files failed\n")
    assert (home / "other").read_bytes() == b"data"


def test_what_was_cut_off_is_kept_apart_and_said(rftp: Rftp, home: Path) -> None:
    """A proxy that dies ends the data like a server that has sent everything. Only the size shows the difference."""
    with Scripted({"SIZE": "213 10", "RETR": b"01234"}) as server:
        result = rftp.run("-c", "get a", f"anonymous@{server.host}", str(server.port))
    assert (result.status, result.err) == (1, "rftp: get: a: 5 of 10 bytes came\n")
    assert (home / "a.part").read_bytes() == b"01234"
    assert not (home / "a").exists()


def test_an_upload_that_did_not_arrive_is_said(rftp: Rftp, home: Path) -> None:
    (home / "a").write_text("0123456789")
    with Scripted({"SIZE": "213 7", "STOR": b""}) as server:
        result = rftp.run("-c", "put a", f"anonymous@{server.host}", str(server.port))
    assert (result.status, result.err) == (1, "rftp: put: a: 7 of 10 bytes arrived\n")


def test_a_full_disk_is_a_failure_and_the_session_goes_on(rftp: Rftp, ftpd: Ftpd) -> None:
    ftpd.give("big", b"x" * 10_000_000)
    ftpd.give("b", b"y")
    rftp.monkeypatch.setattr("sys.stdin", None)
    result = rftp("mget b; get big /dev/full")
    assert result.status == 1
    assert "No space left" in result.err


def test_a_data_connection_that_is_refused_is_no_lost_session(rftp: Rftp) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        passive = f"227 Entering (127,0,0,1,{port >> 8},{port & 255})"
        with Scripted({"PASV": passive}) as server:
            script = "nlst\npwd\n"
            result = rftp.script(script, f"anonymous@{server.host}", str(server.port))
    assert result.status == 1
    assert result.err.startswith("rftp: nlst: ")
    assert "lost" not in result.err
