"""A Python that will not find the hook, behind a wrapper or a shell: one of them is named, or refused by strict."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.integration.children.parent_program import LOOPBACK, ParentProgram, name_of, verdict
from tests.integration.children.recording_proxy import RecordingProxy
from tests.integration.children.start_methods import StartMethod, named

# Commands that start `{python} -I child.py NAME`. They are named if that Python's environment has no hook.
WRAPPED = {
    "sh -c": "['sh', '-c', f'{PY} -I {CHILD} {NAME}']",
    "sh -c env -i": "['sh', '-c', f'env -i {PY} {CHILD} {NAME}']",
    "sh -c with exec": "['bash', '-ec', f'cd /; exec {PY} -I {CHILD} {NAME}']",
    "sh -c with exec -c": "['bash', '-c', f'exec -c {PY} {CHILD} {NAME}']",
    "sh -c with parameters": "['sh', '-c', 'exec \"$@\"', 'sh', PY, '-I', CHILD, NAME]",
    "sh -c with a variable": "['sh', '-c', f'PYTHON={PY}; $PYTHON -I {CHILD} {NAME}']",
    "sh -c with a variable of options": "['sh', '-c', f'OPTIONS=$(echo -I); {PY} $OPTIONS {CHILD} {NAME}']",
    "sh -c with a variable of the environment": "['sh', '-c', '$APP -I $FILE $WHOM']",
    "sh -c with a path set": "['sh', '-c', f'PYTHONPATH=/x {PY} {CHILD} {NAME}']",
    "sh -c with a path exported": "['sh', '-c', f'export PYTHONPATH=/x; {PY} {CHILD} {NAME}']",
    "sh -c with a path unset": "['sh', '-c', f'unset PYTHONPATH && {PY} {CHILD} {NAME}']",
    "sh -c in a substitution": "['sh', '-c', f'echo $({PY} -I {CHILD} {NAME}) >/dev/null']",
    "sh -c in a quoted substitution": "['sh', '-c', f'x=\"$({PY} -I {CHILD} {NAME})\"']",
    "sh -c in backquotes": "['sh', '-c', f'x=`{PY} -I {CHILD} {NAME}`']",
    "sh -c in a pipeline": "['sh', '-c', f'true | {PY} -I {CHILD} {NAME} 2>/dev/null | cat']",
    "sh -c in a condition": "['sh', '-c', f'if true; then {PY} -I {CHILD} {NAME}; fi']",
    "sh -c in a loop": "['sh', '-c', f'for i in a; do {PY} -I {CHILD} {NAME}; done']",
    "sh -c in a function": "['sh', '-c', f'go() {{ {PY} -I {CHILD} {NAME}; }}; go']",
    "sh -c in a subshell": "['sh', '-c', f'(cd / && {PY} -I {CHILD} {NAME})']",
    "sh -c with eval": "['sh', '-c', f'eval {PY} -I {CHILD} {NAME}']",
    "sh -c with a here-document": "['sh', '-c', f'sh <<E\\n{PY} -I {CHILD} {NAME}\\nE\\n']",
    "sh -c in sh -c": "['sh', '-c', f'sh -c \"{PY} -I {CHILD} {NAME}\"']",
    "sh by stdin": "['sh', '-s']",
    "timeout": "['timeout', '-k', '5', '30', PY, '-I', CHILD, NAME]",
    "nice": "['nice', '-n', '1', PY, '-I', CHILD, NAME]",
    "nohup": "['nohup', PY, '-I', CHILD, NAME]",
    "setsid": "['setsid', '-w', PY, '-I', CHILD, NAME]",
    "stdbuf": "['stdbuf', '-oL', PY, '-I', CHILD, NAME]",
    "env -S": "['env', '-S', f'{PY} -I \"{CHILD}\" {NAME}']",
    "env in nice": "['nice', 'env', '-i', PY, CHILD, NAME]",
    "xargs": "['xargs', '-n', '1', PY, '-I', CHILD]",
    "find": "['find', CHILD, '-exec', PY, '-I', '{}', NAME, ';']",
    "flock": "['flock', CHILD, PY, '-I', CHILD, NAME]",
    "flock -c": "['flock', CHILD, '-c', f'{PY} -I {CHILD} {NAME}']",
    "su": "['su', '-c', f'{PY} -I {CHILD} {NAME}']",
    "su -": "['su', '-', '-c', f'{PY} {CHILD} {NAME}']",
    "runuser": "[RUNUSER, '-u', 'root', '--', PY, '-I', CHILD, NAME]",
    "runuser -l": "[RUNUSER, '-l', 'root', '-c', f'{PY} {CHILD} {NAME}']",
    "chroot": "[CHROOT, '/', PY, '-I', CHILD, NAME]",
    "a script": "[SCRIPT]",
    "sh with a script": "['sh', SCRIPT]",
    "a Python script of env's": "[ENV_SCRIPT, NAME]",
    "sh with a source": "['sh', '-c', f'. {SCRIPT}']",
    "make": "['make', '-s', '-f', MAKEFILE]",
    "a dynamic loader": "[LOADER, os.path.realpath(PY), '-I', CHILD, NAME]",
    "a copy of a Python": "[COPY, '-I', CHILD, NAME]",
    "perl": "['perl', '-e', 'exec @ARGV', PY, '-I', CHILD, NAME]",
    "awk": "['awk', f'BEGIN {{ system(\"{PY} -I {CHILD} {NAME}\") }}']",
}
PREPARATION = """
import os, shutil, subprocess
os.environ |= {"APP": PY, "FILE": CHILD, "WHOM": NAME}
LOADER = next(file for file in ("/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1") if os.path.exists(file))
CHROOT, RUNUSER = (shutil.which(name, path="/usr/sbin:/sbin:/usr/bin:/bin") for name in ("chroot", "runuser"))
SCRIPT, ENV_SCRIPT, MAKEFILE, COPY = (os.path.abspath(name) for name in ("script", "env_script", "makefile", "copy"))
shutil.copy(os.path.realpath(PY), COPY)
open(SCRIPT, "w").write(f"#!/bin/sh\\n{PY} -I {CHILD} {NAME}\\n")
open(ENV_SCRIPT, "w").write(f"#!/usr/bin/env -S {PY} -I\\n" + open(CHILD).read())
open(MAKEFILE, "w").write(f"all:\\n\\t{PY} -I {CHILD} {NAME}\\n")
for file in (SCRIPT, ENV_SCRIPT):
    os.chmod(file, 0o755)
text = f"{PY} -I {CHILD} {NAME}"
"""


def wrapped(words: str) -> StartMethod:
    given = "NAME.encode()" if words.startswith("['xargs") else "text.encode()"
    return named(f"{PREPARATION}\nsubprocess.run({words}, input={given}, stderr=subprocess.DEVNULL)")


@pytest.fixture
def parent(tmp_path: Path, plain: Path) -> ParentProgram:
    return ParentProgram(tmp_path, plain, str(plain))


@pytest.mark.parametrize("words", WRAPPED)
def test_it_is_named(words: str, parent: ParentProgram, proxy: RecordingProxy) -> None:
    name, log = name_of(words, "wrapped"), parent.directory / "log"
    launcher = [sys.executable, "-m", "socksify", "--proxy", proxy.url(), *LOOPBACK, "--log", str(log)]
    said = parent.run(launcher, wrapped(WRAPPED[words]), name, log)
    assert verdict(proxy, name, said) == "named", said


@pytest.mark.parametrize("words", WRAPPED)
def test_strict_does_not_start_it(words: str, parent: ParentProgram, proxy: RecordingProxy) -> None:
    name, log = name_of(words, "strict"), parent.directory / "log"
    launcher = [sys.executable, "-m", "socksify", "--strict", "--seal=off", "--proxy", proxy.url(), *LOOPBACK]
    said = parent.run(launcher, wrapped(WRAPPED[words]), name, log)
    assert "PermissionError" in said and "goes past socksify, which strict forbids" in said, said
    assert not proxy.asked_for(name)


COVERED = {
    "sh -c": "['sh', '-c', f'cd / && true | {PY} {CHILD} {NAME}']",
    "sh -c with a path in front": "['sh', '-c', f'PYTHONPATH=/x:$PYTHONPATH {PY} {CHILD} {NAME}']",
    "timeout": "['timeout', '30', PY, CHILD, NAME]",
    "a long shebang": "[LONG, NAME]",
}
LONG = """import os, subprocess
LONG = os.path.abspath("long")
open(LONG, "w").write(f"#!/bin/sh\\n'''exec' {PY} \\"$0\\" \\"$@\\"\\n' '''\\n" + open(CHILD).read())
os.chmod(LONG, 0o755)
"""


@pytest.mark.parametrize("words", COVERED)
def test_what_is_covered_is_not_spoken_of(words: str, parent: ParentProgram, proxy: RecordingProxy) -> None:
    name, log = name_of(words, "looked through"), parent.directory / "log"
    launcher = [sys.executable, "-m", "socksify", "--strict", "--seal=off", "--proxy", proxy.url(), *LOOPBACK]
    assert parent.run(launcher, StartMethod(f"{LONG}subprocess.run({COVERED[words]}, check=True)"), name, log) == ""
    assert proxy.asked_for(name) == 1
