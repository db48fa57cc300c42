"""The proxy options of rftp and rtelnet are the launcher's."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

import socksify
from socksify.clients.options import Parser
from socksify.config.schema import SETTINGS, Setting


def value(setting: Setting) -> str:
    """A value for an option that takes one."""
    return "7" if setting.name == "bind_services" else "x"


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_each_setting_is_an_option_of_the_same_kind(setting: Setting) -> None:
    parser = Parser("name", "what it is")
    once = [setting.option, *([value(setting)] if setting.metavar else [])]
    given = getattr(parser.parse_args([*once, *once]), setting.name)
    if not setting.metavar:
        assert given is (setting.bare == "yes")
    else:
        assert given == ([value(setting)] * 2 if setting.many else value(setting))
    # Options that are not given are None, so that variables and files decide.
    assert getattr(parser.parse_args([]), setting.name) is None


def test_v_is_short_for_a_log_on_stderr() -> None:
    assert Parser("name", "").parse_args(["-v"]).log == "stderr"


def test_what_the_program_says_itself_is_weaker_than_an_option(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []

    def install(*, bind_services: Sequence[int] | None = None, log: str | None = None) -> None:  # noqa: ARG001
        seen.append(bind_services)

    monkeypatch.setattr(socksify, "install", install)
    parser = Parser("name", "what it is")
    for words in ([], ["--bind-service", "7"]):
        parser.install(parser.parse_args(words), bind_services=[21])
    socksify.init("SOCKSclient")
    assert seen == [[21], ["7"]]
