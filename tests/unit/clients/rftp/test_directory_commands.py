"""Directories and names, of the server and local."""

from __future__ import annotations

import os
from pathlib import Path

from tests.support.ftpd import Ftpd
from tests.unit.clients.rftp.runs import Rftp
from tests.unit.clients.rftp.scripted import Scripted


def test_directories(rftp: Rftp, ftpd: Ftpd) -> None:
    result = rftp(
        "mkdir one; cd one; pwd; mkdir two; nlst; rmdir two; nlst; cd ..; rename one three; nlst; rmdir three"
    )
    assert result.status == 0, result.err
    assert result.out.splitlines() == [f"{ftpd.home}/one", "two", "three"]


def test_listings(rftp: Rftp, ftpd: Ftpd) -> None:
    ftpd.give("a b", b"12345")
    ftpd.give("sub/c", b"")
    for name in ("ls", "dir"):
        long = rftp(f"{name}; {name} sub").out.splitlines()
        assert [line.rsplit(":", 1)[1][3:] for line in long] == ["a b", "sub", "c"]
    assert rftp("ls -a; nlst *b").status == 0


def test_size_and_time(rftp: Rftp, ftpd: Ftpd) -> None:
    os.utime(ftpd.give("a", b"1\n2\n3"), (86400, 86400))
    # A listing sets the type to text, but the size in bytes is asked for.
    result = rftp("ls; size a; modtime a")
    assert result.out.splitlines()[1:] == ["5", "1970-01-02 00:00:00 UTC"]


def test_delete(rftp: Rftp, ftpd: Ftpd) -> None:
    ftpd.give("a", b"")
    assert rftp("delete a").status == 0
    assert rftp("delete a").status == 1


def test_local_directories(rftp: Rftp, ftpd: Ftpd, home: Path) -> None:
    ftpd.give("a", b"x")
    (home / "into").mkdir()
    result = rftp("lcd into; lpwd; get a; !ls; lcd; lpwd; lcd missing")
    assert (result.status, result.out.splitlines()) == (1, [f"{home}/into", "a", str(home)])
    assert "missing" in result.err


def test_quote_and_site(rftp: Rftp, ftpd: Ftpd) -> None:
    ftpd.give("a", b"x")
    result = rftp("quote NOOP; site chmod 600 a; quote NONSENSE")
    assert result.out.splitlines() == ["200 NOOP ok.", "200 SITE CHMOD command ok."]
    assert (result.status, result.err) == (1, "rftp: quote: 500 Unknown command.\n")
    assert (ftpd.home / "a").stat().st_mode & 0o777 == 0o600


def test_a_name_that_is_no_utf8_can_be_asked_for(rftp: Rftp, ftpd: Ftpd, home: Path) -> None:
    name = os.fsdecode(b"caf\xe9")
    ftpd.give(name, b"x")
    ftpd.give("na\u00efve", b"y")
    assert rftp("mget caf* na*").status == 0
    assert ((home / name).read_bytes(), (home / "na\u00efve").read_bytes()) == (b"x", b"y")


def test_commands_may_be_cut_short(rftp: Rftp) -> None:
    result = rftp("mkd d; stat; mk e; m")
    assert result.status == 1
    assert result.err == "rftp: m: which of modtime, mkdir, mget, mput?\n" or "which of" in result.err


def test_a_time_that_is_none_is_told(rftp: Rftp) -> None:
    with Scripted({"MDTM": "213 yesterday"}) as server:
        result = rftp.run("-c", "modtime a", server.host, str(server.port))
    assert (result.status, result.err) == (1, "rftp: modtime: a: 213 yesterday\n")


def test_without_a_connection(rftp: Rftp) -> None:
    for line in ("ls", "pwd", "get a", "put connections", "user bob", "mget *"):
        result = rftp.run("-c", line)
        assert (result.status, result.err) == (1, f"rftp: {line.split()[0]}: not connected; open HOST connects\n")
