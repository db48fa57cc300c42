"""Every way of making a child process, and what becomes of it: covered, or named.

Each is a program, which starts a child in its way: `PY` is its interpreter, `PLAIN` the one of a virtual environment
without socksify, `BASE` the one that both were made with, `CHILD` a script that connects to the name it is given,
`NAME`, and `CODE` the same as a text, `STATEMENT` as one that needs no argument.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Way:
    """A program; whether its child is covered where the program has been launched, and where a hook is installed."""

    program: str
    launched: bool = True
    hooked: bool = True
    # Of the program's own interpreter.
    flags: tuple[str, ...] = ()


def named(program: str, hooked: bool = False) -> Way:
    return Way(program, launched=False, hooked=hooked)


SCRIPT = """
import os, subprocess
with open("script", "w") as file:
    file.write({line!r}.format(PY=PY) + "\\n" + open(CHILD).read())
os.chmod("script", 0o755)
os.environ["PATH"] = os.path.dirname(PY) + ":" + os.environ["PATH"]
"""


def script(line: str) -> str:
    return SCRIPT.format(line=line) + "subprocess.run(['./script', NAME], check=True)"


MULTIPROCESSING = """
import multiprocessing, os, sys
sys.path.insert(0, os.path.dirname(CHILD))
import child
if __name__ == "__main__":
    {body}
"""


def multiprocessing(body: str) -> str:
    return MULTIPROCESSING.format(body=body)


PROCESS = "p = multiprocessing.get_context({0!r}).Process(target=child.connect, args=(NAME,)); p.start(); p.join()"
POOL = "multiprocessing.get_context({0!r}).Pool(1).apply(child.connect, (NAME,))"
EXECUTOR = """from concurrent.futures import ProcessPoolExecutor
    with ProcessPoolExecutor(1, multiprocessing.get_context({0!r})) as pool:
        pool.submit(child.connect, NAME).result()"""
# What the fork server imports runs in the fork server.
PRELOADED = """multiprocessing.set_forkserver_preload(["preloaded"])
    with open(os.path.join(sys.path[0], "preloaded.py"), "w") as file:
        file.write(STATEMENT)
    os.environ["PYTHONPATH"] = sys.path[0]
    process = multiprocessing.get_context("forkserver").Process(target=__import__, args=("preloaded",))
    process.start()
    process.join()"""

WAYS = {
    "subprocess.run": Way("import subprocess; subprocess.run([PY, CHILD, NAME])"),
    "its own environment": Way(
        "import os, subprocess; subprocess.run([PY, CHILD, NAME], env={**os.environ, 'A': 'b'})"
    ),
    "no environment": Way("import subprocess; subprocess.run([PY, CHILD, NAME], env={})"),
    "a path of its own": Way(
        "import subprocess; subprocess.run([PY, '-c', 'import marked;' + STATEMENT], env={'PYTHONPATH': MARKED})"
    ),
    "descriptors kept, by posix_spawn": Way("import subprocess; subprocess.run([PY, CHILD, NAME], close_fds=False)"),
    "descriptors kept, no environment": Way(
        "import subprocess; subprocess.run([PY, CHILD, NAME], close_fds=False, env={})"
    ),
    "another directory": Way("import subprocess; subprocess.run([PY, CHILD, NAME], cwd='/')"),
    "preexec_fn": Way("import subprocess; subprocess.run([PY, CHILD, NAME], preexec_fn=lambda: None)"),
    "-I": named("import subprocess; subprocess.run([PY, '-I', CHILD, NAME])", hooked=True),
    "-I, by another name": named("import subprocess; subprocess.run(['x', '-I', CHILD, NAME], executable=PY)"),
    "-I, no environment": named("import subprocess; subprocess.run([PY, '-I', CHILD, NAME], env={})", hooked=True),
    "-E": named("import subprocess; subprocess.run([PY, '-uE', CHILD, NAME])", hooked=True),
    "-Ic": named("import subprocess; subprocess.run([PY, '-Ic', CODE, NAME])", hooked=True),
    "-S": named("import subprocess; subprocess.run([PY, '-S', CHILD, NAME])"),
    "-X, -W and -s": Way("import subprocess; subprocess.run([PY, '-X', 'S', '-WI', '-W', 'E', '-sPB', CHILD, NAME])"),
    "an argument -I": Way("import subprocess; subprocess.run([PY, CHILD, NAME, '-I'])"),
    "shell=True": Way("import subprocess; subprocess.run(f'{PY} {CHILD} {NAME}', shell=True)"),
    "shell=True, no environment": Way("import subprocess; subprocess.run(f'{PY} {CHILD} {NAME}', shell=True, env={})"),
    "os.system": Way("import os; os.system(f'{PY} {CHILD} {NAME}')"),
    "os.popen": Way("import os; os.popen(f'{PY} {CHILD} {NAME}').read()"),
    "system(3) by C": Way("import ctypes; ctypes.CDLL(None).system(f'{PY} {CHILD} {NAME}'.encode())"),
    "os.execv": Way("import os; os.execv(PY, [PY, CHILD, NAME])"),
    "os.execve, no environment": Way("import os; os.execve(PY, [PY, CHILD, NAME], {})"),
    "os.execvp": Way(
        "import os; os.environ['PATH'] = os.path.dirname(PY); os.execvp('python', ['python', CHILD, NAME])"
    ),
    "os.execle -I": named("import os; os.execle(PY, PY, '-I', CHILD, NAME, {})", hooked=True),
    "os.spawnv": Way("import os; os.spawnv(os.P_WAIT, PY, [PY, CHILD, NAME])"),
    "os.spawnve, no environment": Way("import os; os.spawnve(os.P_WAIT, PY, [PY, CHILD, NAME], {})"),
    "os.posix_spawn": Way("import os; os.waitpid(os.posix_spawn(PY, [PY, CHILD, NAME], os.environ), 0)"),
    "os.posix_spawn, no environment": Way("import os; os.waitpid(os.posix_spawn(PY, [PY, CHILD, NAME], {}), 0)"),
    "os.posix_spawnp": Way(
        "import os; os.environ['PATH'] = os.path.dirname(PY)\n"
        "os.waitpid(os.posix_spawnp('python', ['python', CHILD, NAME], os.environb), 0)"
    ),
    "os.fork": Way(
        "import os, runpy, sys; sys.argv = [CHILD, NAME]\n"
        "os.fork() or os._exit(runpy.run_path(CHILD, run_name='__main__') and 0)\nos.wait()"
    ),
    "pty.spawn": Way("import pty; pty.spawn([PY, CHILD, NAME])"),
    "pty.fork": Way("import os, pty; pid, fd = pty.fork()\npid or os.execl(PY, PY, CHILD, NAME)\nos.waitpid(pid, 0)"),
    "asyncio's exec": Way(
        "import asyncio\nasync def main():\n    await (await asyncio.create_subprocess_exec(PY, CHILD, NAME)).wait()\n"
        "asyncio.run(main())"
    ),
    "asyncio's shell": Way(
        "import asyncio\nasync def main():\n    command = f'{PY} {CHILD} {NAME}'\n"
        "    await (await asyncio.create_subprocess_shell(command, env={})).wait()\nasyncio.run(main())"
    ),
    "multiprocessing's fork": Way(multiprocessing(PROCESS.format("fork"))),
    "multiprocessing's spawn": Way(multiprocessing(PROCESS.format("spawn"))),
    "multiprocessing's forkserver": Way(multiprocessing(PROCESS.format("forkserver"))),
    "multiprocessing's fork under -I": Way(multiprocessing(PROCESS.format("fork")), flags=("-I",)),
    "multiprocessing's spawn under -I": Way(multiprocessing(PROCESS.format("spawn")), flags=("-I",)),
    "multiprocessing's forkserver under -I": Way(multiprocessing(PROCESS.format("forkserver")), flags=("-I",)),
    "what a fork server imports": Way(multiprocessing(PRELOADED)),
    "what a fork server imports under -I": Way(multiprocessing(PRELOADED), flags=("-I",)),
    "Pool of spawn": Way(multiprocessing(POOL.format("spawn"))),
    "ProcessPoolExecutor of forkserver": Way(multiprocessing(EXECUTOR.format("forkserver"))),
    "ProcessPoolExecutor of spawn under -E": Way(multiprocessing(EXECUTOR.format("spawn")), flags=("-E",)),
    "a script of this Python's": Way(script("#!{PY}")),
    "a script of this Python's with -I": named(script("#!{PY} -I"), hooked=True),
    "a script of env's": Way(script("#!/usr/bin/env python")),
    "a script of env's with -S": named(script("#!/usr/bin/env -S python -S")),
    "env": Way("import subprocess; subprocess.run(['env', 'A=b', PY, CHILD, NAME])"),
    "env -i": named("import subprocess; subprocess.run(['env', '-i', PY, CHILD, NAME])", hooked=True),
    "env -u": named("import subprocess; subprocess.run(['env', '-u', 'PYTHONPATH', PY, CHILD, NAME])", hooked=True),
    "env -vi": named("import subprocess; subprocess.run(['env', '-vi', PY, CHILD, NAME])", hooked=True),
    "os.posix_spawn, a mapping without items": Way(
        "import os\nclass Empty:\n    __len__ = lambda self: 0\n    __getitem__ = None\n"
        "    keys = values = lambda self: []\nos.waitpid(os.posix_spawn(PY, [PY, CHILD, NAME], Empty()), 0)"
    ),
    "nohup": Way("import subprocess; subprocess.run(['nohup', PY, CHILD, NAME])"),
    "a shell script": Way(
        "import os, subprocess\nopen('a.sh', 'w').write(f'#!/bin/sh\\n{PY} {CHILD} {NAME}\\n')\n"
        "os.chmod('a.sh', 0o755)\nsubprocess.run(['./a.sh'])"
    ),
    "a Python without socksify": Way("import subprocess; subprocess.run([PLAIN, CHILD, NAME], env={})"),
    "a Python without socksify, -I": named("import subprocess; subprocess.run([PLAIN, '-I', CHILD, NAME])"),
    "another Python": Way("import subprocess; subprocess.run([OTHER, CHILD, NAME])"),
    "a subinterpreter": Way(
        "try:\n    import _interpreters as made\nexcept ImportError:\n    import _xxsubinterpreters as made\n"
        "assert made.run_string(made.create(), STATEMENT) is None"
    ),
    "PYTHONPATH set": Way(
        "import os, subprocess; os.environ['PYTHONPATH'] = '/nowhere'; subprocess.run([PY, CHILD, NAME])"
    ),
    "os.environ cleared": Way("import os, subprocess; os.environ.clear(); subprocess.run([PY, CHILD, NAME])"),
    "a grandchild": Way(
        "import subprocess\ncode = f'import os; os.system(\"{PY} {CHILD} {NAME}\")'\nsubprocess.run([PY, '-c', code])"
    ),
    "a grandchild without environment": Way(
        "import subprocess\n"
        "code = f'import socket, subprocess; subprocess.run([{PY!r}, {CHILD!r}, {NAME!r}], env={{}})'\n"
        "subprocess.run([PY, '-c', code], env={})"
    ),
    "a grandchild without environment, of a child without sockets": Way(
        "import subprocess\n"
        "code = f'import subprocess; subprocess.run([{PY!r}, {CHILD!r}, {NAME!r}], env={{}})'\n"
        "subprocess.run([PY, '-c', code], env={})"
    ),
    "a grandchild by execve without environment": Way(
        "import subprocess\n"
        "code = f'import os; os.execve({PY!r}, [{PY!r}, {CHILD!r}, {NAME!r}], {{}})'\n"
        "subprocess.run([PY, '-c', code])"
    ),
    "no Python": named("import subprocess; subprocess.run([CONNECTOR])"),
    "no Python by os.system": named("import os; os.system(CONNECTOR)"),
    "no Python by os.popen": named("import os; os.popen(f'cd /; exec {CONNECTOR}').read()"),
    "no Python by posix_spawn": named("import os; os.waitpid(os.posix_spawn(CONNECTOR, ['x'], {}), 0)"),
    "a link of a Python's, -I": named(
        "import os, subprocess; os.symlink(os.path.realpath(PY), 'app')\nsubprocess.run(['./app', '-I', CHILD, NAME])"
    ),
    "a relative path, -I": named(
        "import os, subprocess\nsubprocess.run([os.path.relpath(PLAIN, '/'), '-I', CHILD, NAME], cwd='/')"
    ),
    "a script that cannot be read": named(
        "import subprocess\nopen('a.sh', 'w').write(f'case a in a) {PY} -S {CHILD} {NAME};; esac')\n"
        "subprocess.run(['sh', 'a.sh'])"
    ),
}

# Each starts `{python} -I child.py NAME` in another way, which is named where that environment has no hook.
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


def wrapped(words: str) -> Way:
    given = "NAME.encode()" if words.startswith("['xargs") else "text.encode()"
    return named(f"{PREPARATION}\nsubprocess.run({words}, input={given}, stderr=subprocess.DEVNULL)")
