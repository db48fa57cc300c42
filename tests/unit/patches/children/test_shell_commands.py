"""The commands of a shell's text that changes its parameters, functions, variables or directory on the way."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from socksify.patches.children import command_lines, shell_commands
from socksify.patches.children.command_lines import CommandLine
from socksify.patches.children.shell_words import Unreadable

SHELL = "/bin/bash"


@pytest.fixture(autouse=True)
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A program that may connect. The system has none of that name."""
    path = tmp_path / "bin" / "client"
    path.parent.mkdir()
    path.write_text("")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}:/usr/bin:/bin")
    monkeypatch.setattr(command_lines, "is_hooked", lambda _: False)
    return str(path)


def names(text: str, parameters: Sequence[str] = ()) -> list[str]:
    """Return the base names of the programs that are not known to be harmless."""
    words = ("bash", "-c", text, "sh", *parameters)
    return [os.path.basename(program.path) for program in command_lines.programs(CommandLine(SHELL, words))]


@pytest.mark.parametrize(
    ("text", "parameters"),
    [
        ('set -- client x; "$@"', ()),
        ('set -- client x; exec "$@"', ()),
        ('set -eu; "$@"', ("client", "x")),
        ('set -o pipefail; "$@"', ("client", "x")),
        ('shift; exec "$@"', ("ls", "client", "x")),
        ('shift 2; "$1" x', ("ls", "ls", "client")),
        ("time -p client x", ()),
        ("time -f %e client x", ()),
        ("exec ls | client x", ()),
        ("exec ls & client x", ()),
        ("(exec ls); client x", ()),
        ("x=$(exec ls); client x", ()),
        ("exec 2>&1; client x", ()),
        ("C=ls; eval C=client; $C x", ()),
        ("if [[ a && -f b ]]; then client; fi", ()),
        ("a=(1 2 3); client", ()),
        ("a=(\n1 # one\n 2\n); client", ()),
        ("a=($(client))", ()),
        ("cd /; client", ()),
        ("run() { echo $1; }; run a; client", ()),
        ('run() { echo "$@" $2; client "$@"; }; run a', ()),
        ('while [ x ]; do shift; done; client "$@"', ()),
        ("ls >;client x", ()),
        ("echo $\u00b2; client x", ()),
    ],
)
def test_what_is_started(text: str, parameters: Sequence[str]) -> None:
    assert names(text, parameters) == ["client"]


@pytest.mark.parametrize(
    ("text", "parameters"),
    [
        ('run() { "$@"; }; run client x', ()),
        ("run() { $1 x; }; run client", ("ls",)),
        ('run() { if true; then "$@"; fi; }; run client', ("ls",)),
        ('run() ( "$@" ); run client', ("ls",)),
        ('while [ $# -gt 1 ]; do shift; done; "$1" x', ("ls", "client")),
        ('[ x ] && shift; "$@"', ("ls", "client")),
        ('client() { command client "$@"; }; client x', ("x",)),
        ("(client() { :; }); client x", ()),
        ("if false; then client() { :; }; fi; client x", ()),
        ("client() { :; }; unset -f client; client x", ()),
        ("x=$(client() { :; }); client x", ()),
        ("[ x ] && client() { :; }; client x", ()),
        ("C=ls; read C; $C x", ()),
        ("C=ls; for C in client; do $C x; done", ()),
        ("C=ls; printf -v C client; $C x", ()),
        ("run() { C=client; }; C=ls; run; $C x", ()),
        ("C=ls; (C=client); $C x", ()),
        ("C=ls; declare -n C=D; D=client; $C x", ()),
        ('a=(client x); "${a[@]}"', ()),
        ("((C=1)); client", ()),
        ("for ((i=0; i<3; i++)); do client; done", ()),
        ("((client) )", ()),
        ("if ((x)); then client; fi", ()),
        ("echo $'\\''; client x; echo $'\\''", ()),
        ("echo ${x:-'}'}; client; echo '", ()),
        ("jobs -x client", ()),
        ("hash -p /x/client ls; ls", ()),
        ("source /dev/stdin", ()),
        ("cd /x; ./run", ()),
        ("cd /x; . ./run", ()),
    ],
)
def test_what_cannot_be_known(text: str, parameters: Sequence[str]) -> None:
    assert names(text, parameters)[-1] in ("bash", "client")


@pytest.mark.parametrize(
    "text",
    [
        "if [[ a && -f b ]]; then ls; fi",
        "while [[ a < b ]]; do ls; done",
        "! [[ a || b ]]",
        "[[ $x =~ ^(a|b)$ ]] && ls",
        'a=(1 2); a+=(3); ls "${a[@]}"',
        "declare -a a=(1 2); ls",
        "time -p ls",
        "exec >/dev/null; ls",
        "cd /tmp && ls && git status && seq 3",
        "run() { ls; }; run",
        "sed -n 1p f; sed 's/e/x/g' f; sed '/e/d' f",
    ],
)
def test_what_connects_to_nobody(text: str) -> None:
    assert names(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "export -n PYTHONPATH; python3 x",
        "declare +x PYTHONPATH; python3 x",
        "read PYTHONPATH; python3 x",
        "printf -v PYTHONPATH x; python3 x",
        "for PYTHONPATH in a b; do python3 x; done",
        "f() { PYTHONPATH=x; }; f; python3 x",
        "PYTHONPATH=a eval 'PYTHONPATH=x'; python3 x",
    ],
)
def test_what_leads_to_the_hook_is_changed(text: str) -> None:
    (found,) = command_lines.programs(CommandLine(SHELL, ("bash", "-c", text)))
    assert found.is_python
    assert found.why_not == "the shell takes PYTHONPATH or the settings away"


def test_what_leads_to_the_hook_is_added_to() -> None:
    (found,) = command_lines.programs(CommandLine(SHELL, ("bash", "-c", "PYTHONPATH+=:/x; python3 x")))
    assert found.is_python
    assert not found.why_not


@pytest.mark.parametrize("wrapper", ["env", "nice", "nohup"])
@pytest.mark.parametrize("text", ["{} $X client", "{} $(cat f) client", '{} "$X" client', "xargs {}"])
def test_a_wrapper_whose_program_is_not_known(wrapper: str, text: str) -> None:
    assert names(text.format(wrapper)) == [wrapper]


@pytest.mark.parametrize("text", ['"$@"', "$0", 'exec "$@"'])
def test_xargs_gives_a_shell_its_parameters(text: str) -> None:
    words = ("xargs", "-n2", "bash", "-c", text, *(["_"] if "@" in text else []))
    assert [os.path.basename(each.path) for each in command_lines.programs(CommandLine("/usr/bin/xargs", words))] == [
        "bash"
    ]


def test_only_plain_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (str(tmp_path / "fifo"), "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0", str(tmp_path)):
        with pytest.raises(Unreadable):
            shell_commands.text_and_parameters(["sh", path])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("sed s/a/b/e f", False),
        ("sed 1e f", False),
        ("sed -f x f", False),
        ("sed -i s,e/,x,g /e/x e.txt", True),
        ("split --filter=x f", False),
        ("split -l 3 f", True),
        ("diff3 --diff-program=x a b c", False),
        ("zip -TT x a b", False),
        ("gcc -wrapper x a.c", False),
        ("ip -br address", True),
        ("ip -b f", False),
        ("openssl version", True),
        ("openssl s_client x", False),
        ("git -c color.ui=never log", True),
        ("git --git-dir x status", True),
        ("git --git-dir=x status", True),
        ("git -c alias.log=!x log", False),
        ("git -c core.pager=x log", False),
    ],
)
def test_options_that_start_a_program(words: str, expected: bool) -> None:
    argv = words.split()
    assert command_lines.is_harmless(f"/usr/bin/{argv[0]}", argv) == expected
    assert command_lines.is_harmless(f"/usr/bin/{argv[0]}", tuple(argv)) == expected


@pytest.mark.parametrize(
    "text", ["((x=1)); echo $((x+1))", "X=; env $X true", "nice $(echo) true", "for ((;0;)); do :; done"]
)
def test_a_program_goes_on(text: str) -> None:
    code = (
        "import socksify, subprocess, sys\n"
        "socksify.install('socks5h://127.0.0.1:1')\n"
        "sys.exit(subprocess.run(sys.argv[1], shell=True, executable='/bin/bash').returncode)\n"
    )
    run = subprocess.run([sys.executable, "-c", code, text], capture_output=True, text=True, timeout=30)
    assert (run.returncode, run.stderr.count("\n")) in ((0, 0), (0, 1)), run.stderr


def test_the_programs_own_input_is_left_alone() -> None:
    code = (
        "import socksify, subprocess, sys\n"
        "socksify.install('socks5h://127.0.0.1:1')\n"
        "subprocess.run(['bash', '/dev/stdin'], stdin=subprocess.DEVNULL)\n"
        "print(sys.stdin.read())\n"
    )
    run = subprocess.run([sys.executable, "-c", code], input="text", capture_output=True, text=True, timeout=30)
    assert run.stdout == "text\n"
