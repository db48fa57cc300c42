import pytest

from socksify.config.command_line import parse, usage
from socksify.config.errors import ConfigError
from socksify.config.schema import BY_OPTION, SETTINGS


@pytest.mark.parametrize(
    ("argv", "arguments"),
    [
        ("", {}),
        ("--proxy a", {"proxy": ["a"]}),
        ("--proxy=a --proxy b", {"proxy": ["a", "b"]}),
        ("--proxy=a=b", {"proxy": ["a=b"]}),
        ("--route x=direct --direct y --route=z=block", {"routes": ["x=direct", "z=block"], "direct": ["y"]}),
        ("--dns local --dns=remote", {"dns": "remote"}),
        ("--connect-timeout 5 --c-watcher-timeout=6", {"connect_timeout": "5", "c_watcher_timeout": "6"}),
        ("--config f --log stderr", {"config": "f", "log": "stderr"}),
        ("-v", {"log": "stderr"}),
        ("-v --log f", {"log": "f"}),
        ("--log f -v", {"log": "f"}),
        ("--proxy --proxy", {"proxy": ["--proxy"]}),
        ("--strict --no-children", {"strict": "yes", "children": "no"}),
    ],
)
def test_arguments(argv: str, arguments: dict[str, object]) -> None:
    assert parse(argv.split()) == (arguments, [], {})
    assert parse([*argv.split(), "x.py", "--proxy", "z"]) == (arguments, ["x.py", "--proxy", "z"], {})


@pytest.mark.parametrize(
    "program",
    [
        ["x.py", "-v", "--help", "--", "-"],
        ["-m", "pkg.mod", "--proxy", "x"],
        ["-mpkg", "--show"],
        ["-c", "print(1)", "-v"],
        ["-cprint(1)", "-v"],
        ["-m"],
        ["-", "--version"],
        ["", "x"],
    ],
)
def test_the_program_is_untouched(program: list[str]) -> None:
    assert parse(["--proxy", "a", *program]) == ({"proxy": ["a"]}, program, {})
    assert parse(program) == ({}, program, {})
    assert parse(["--", *program]) == ({}, program, {})


def test_two_dashes_end_our_options() -> None:
    assert parse(["-v", "--", "--proxy", "x"]) == ({"log": "stderr"}, ["--proxy", "x"], {})
    assert parse(["--"]) == ({}, [], {})


@pytest.mark.parametrize(
    ("argv", "actions"),
    [
        ("--embedded", {"embedded": True}),
        ("--show", {"show": "text"}),
        ("--show=text", {"show": "text"}),
        ("--show=json", {"show": "json"}),
        ("--explain h:1", {"explain": ["h:1"]}),
        ("--explain=[::1]:1", {"explain": ["[::1]:1"]}),
        ("--explain=[::1]:1 --explain h:2 --explain h:1", {"explain": ["[::1]:1", "h:2", "h:1"]}),
        ("--help", {"help": True}),
        ("-h", {"help": True}),
        ("--version --embedded", {"version": True, "embedded": True}),
    ],
)
def test_actions(argv: str, actions: dict[str, str | bool | list[str]]) -> None:
    assert parse(argv.split()) == ({}, [], actions)


def test_show_takes_its_value_behind_an_equals_sign_only() -> None:
    assert parse(["--show", "json"]) == ({}, ["json"], {"show": "text"})


@pytest.mark.parametrize(
    ("argv", "reason"),
    [
        (["--proxi", "a"], "^unknown option '--proxi'; see socksify --help$"),
        (["--proxi=socks5h://u:S3cr3t@a"], "^unknown option '--proxi'"),
        (["-z"], "^unknown option '-z'; see socksify --help$"),
        (["-x"], r"^unknown option '-x'; python's own options stand before: python -x \.\.\. -m socksify \.\.\.$"),
        (["-vv"], "^unknown option '-vv'; python's own options stand before: python -v "),
        (["-I"], "^unknown option '-I'; python's own options stand before: python -I "),
        (["-W", "error"], "^unknown option '-W'; python's own options stand before: python -W "),
        (["-Werror::S3cr3t"], "^unknown option '-Werror'; python's own options stand before: python -W "),
        (["-X", "dev"], "^unknown option '-X'; python's own options stand before: python -X "),
        (["-OO"], "^unknown option '-OO'; python's own options stand before: python -O "),
        (["--check-hash-based-pycs=S3cr3t"], "before: python --check-hash-based-pycs ... -m socksify"),
        (["--routes", "a=b"], "^unknown option '--routes'"),
        (["--proxysocks5h://u:S3cr3t@a"], r"^unknown option '--proxysocks5h"),
        (["--proxyu:S3cr3t=@a"], "^unknown option '--proxyu'"),
        (["--proxy"], "^--proxy: expected a value"),
        (["-v", "--explain"], "^--explain: expected a value"),
        (["--explain="], "^--explain: expected a value"),
        (["--show=xml"], "^--show: 'xml': expected text or json$"),
        (["--show="], "^--show: '': expected text or json$"),
        (["--help=1"], "^--help: '1': expected no value$"),
        (["--embedded="], "^--embedded: '': expected no value$"),
        (["--version=x"], "^--version: 'x': expected no value$"),
    ],
)
def test_refused(argv: list[str], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason) as caught:
        parse(argv)
    assert "S3cr3t" not in str(caught.value)


def test_usage_has_every_option_in_eighty_columns() -> None:
    text = usage()
    for setting in SETTINGS:
        assert f"  {setting.option} {setting.metavar}" in text
        assert setting.variable in text
    for option in ("-v", "--embedded", "--show[=text|json]", "--explain HOST:PORT", "--help", "--version"):
        assert option in text
    assert max(map(len, text.splitlines())) < 80


def test_an_option_that_says_no_takes_no_value() -> None:
    """`--no-children=yes` would mean the opposite of its name."""
    for option in (setting for setting in BY_OPTION.values() if setting.bare == "no"):
        with pytest.raises(ConfigError, match="expected no value"):
            parse([f"{option.option}=yes", "x.py"])
