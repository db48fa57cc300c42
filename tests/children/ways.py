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
    "no Python": named("import subprocess; subprocess.run(['true'])"),
    "no Python by os.system": named("import os; os.system('true')"),
}
