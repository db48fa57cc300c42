"""The names that a resolver makes by its search list."""

from __future__ import annotations

import pytest

from socksify.seal.dns import search_list

CLUSTER = b"nameserver 192.0.2.53\nsearch ns.svc.cluster.local svc.cluster.local Cluster.local.\noptions ndots:5\n"


@pytest.fixture(autouse=True)
def without_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOCALDOMAIN", raising=False)
    monkeypatch.delenv("RES_OPTIONS", raising=False)
    monkeypatch.setattr(search_list, "gethostname", lambda: "host")


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("www.example.com.ns.svc.cluster.local", "www.example.com"),
        ("www.example.com.svc.cluster.local", "www.example.com"),
        ("www.example.com.cluster.local", "www.example.com"),
        ("a.b.c.d.e.cluster.local", "a.b.c.d.e"),
        ("a.b.c.d.e.f.cluster.local", None),
        ("db.ns.svc.cluster.local", None),
        ("db.cluster.local", None),
        ("ns.svc.cluster.local", None),
        ("cluster.local", None),
        ("www.example.com", None),
        ("wwwcluster.local", None),
        ("", None),
    ],
)
def test_a_short_name_is_found(name: str, short: str | None) -> None:
    assert search_list.parse(CLUSTER).short_name(name) == short


def test_with_one_dot_a_name_is_asked_for_as_it_is() -> None:
    for content in (b"search corp.example", b"search corp.example\noptions ndots:1 timeout:2", b""):
        assert search_list.parse(content).short_name("a.b.corp.example") is None


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"domain corp.example\noptions ndots:2", True),
        (b"search other.example\n\tsearch\tCORP.example. \noptions\tndots:2\n", True),
        (b"search corp.example\nsearch other.example\noptions ndots:2", False),
        (b"search corp.example\noptions ndots:2 rotate\noptions ndots:1", False),
        (b"search corp.example\noptions ndots:99999999999999", True),
        (b"search corp.example\noptions ndots:x ndots: xndots:3", False),
        (b"search corp.example .\noptions ndots:2", True),
        (b"# search corp.example\noptions ndots:2", False),
    ],
)
def test_resolv_conf_is_read_as_the_resolvers_read_it(content: bytes, found: bool) -> None:
    assert search_list.parse(content).short_name("a.b.corp.example") == ("a.b" if found else None)


def test_variables_outrank_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RES_OPTIONS", "ndots:1")
    assert search_list.parse(CLUSTER).short_name("www.example.com.cluster.local") is None
    monkeypatch.setenv("RES_OPTIONS", "ndots:3")
    monkeypatch.setenv("LOCALDOMAIN", "corp.example lab.example")
    assert search_list.parse(CLUSTER).short_name("www.example.com.cluster.local") is None
    assert search_list.parse(CLUSTER).short_name("a.b.lab.example") == "a.b"


def test_without_a_list_the_domain_is_that_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_list, "gethostname", lambda: "host.corp.example")
    assert search_list.parse(b"options ndots:2").short_name("a.b.corp.example") == "a.b"
