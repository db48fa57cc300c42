"""Programs that start a child process, one for each start method, and whether the child is covered or named.

The names in a program are given by `parent_program`: `PY` is its interpreter, `PLAIN` the Python of a virtual
environment without socksify, `OTHER` a Python of another version. `CHILD` is a script that connects to the name that is
its argument, `NAME`. `CODE` is the same script as a text, `STATEMENT` a text that needs no argument.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StartMethod:
    """A program that starts a child.

    `launched` tells whether the child is covered if the program runs under the launcher, `hooked` if it runs in an
    environment with the hook. `flags` are options for the program's own interpreter.
    """

    program: str
    launched: bool = True
    hooked: bool = True
    flags: tuple[str, ...] = ()


def named(program: str, hooked: bool = False) -> StartMethod:
    """A program whose child is not covered under the launcher, but named."""
    return StartMethod(program, launched=False, hooked=hooked)


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

START_METHODS = {
    "subprocess.run": StartMethod("import subprocess; subprocess.run([PY, CHILD, NAME])"),
    "its own environment": StartMethod(
        "import os, subprocess; subprocess.run([PY, CHILD, NAME], env={**os.environ, 'A': 'b'})"
    ),
    "no environment": StartMethod("import subprocess; subprocess.run([PY, CHILD, NAME], env={})"),
    "a path of its own": StartMethod(
        "import subprocess; subprocess.run([PY, '-c', 'import marked;' + STATEMENT], env={'PYTHONPATH': MARKED})"
    ),
    "descriptors kept, by posix_spawn": StartMethod(
        "import subprocess; subprocess.run([PY, CHILD, NAME], close_fds=False)"
    ),
    "descriptors kept, no environment": StartMethod(
        "import subprocess; subprocess.run([PY, CHILD, NAME], close_fds=False, env={})"
    ),
    "another directory": StartMethod("import subprocess; subprocess.run([PY, CHILD, NAME], cwd='/')"),
    "preexec_fn": StartMethod("import subprocess; subprocess.run([PY, CHILD, NAME], preexec_fn=lambda: None)"),
    "-I": named("import subprocess; subprocess.run([PY, '-I', CHILD, NAME])", hooked=True),
    "-I, by another name": named("import subprocess; subprocess.run(['x', '-I', CHILD, NAME], executable=PY)"),
    "-I, no environment": named("import subprocess; subprocess.run([PY, '-I', CHILD, NAME], env={})", hooked=True),
    "-E": named("import subprocess; subprocess.run([PY, '-uE', CHILD, NAME])", hooked=True),
    "-Ic": named("import subprocess; subprocess.run([PY, '-Ic', CODE, NAME])", hooked=True),
    "-S": named("import subprocess; subprocess.run([PY, '-S', CHILD, NAME])"),
    "-X, -W and -s": StartMethod(
        "import subprocess; subprocess.run([PY, '-X', 'S', '-WI', '-W', 'E', '-sPB', CHILD, NAME])"
    ),
    "an argument -I": StartMethod("import subprocess; subprocess.run([PY, CHILD, NAME, '-I'])"),
    "shell=True": StartMethod("import subprocess; subprocess.run(f'{PY} {CHILD} {NAME}', shell=True)"),
    "shell=True, no environment": StartMethod(
        "import subprocess; subprocess.run(f'{PY} {CHILD} {NAME}', shell=True, env={})"
    ),
    "os.system": StartMethod("import os; os.system(f'{PY} {CHILD} {NAME}')"),
    "os.popen": StartMethod("import os; os.popen(f'{PY} {CHILD} {NAME}').read()"),
    "system(3) by C": StartMethod("import ctypes; ctypes.CDLL(None).system(f'{PY} {CHILD} {NAME}'.encode())"),
    "os.execv": StartMethod("import os; os.execv(PY, [PY, CHILD, NAME])"),
    "os.execve, no environment": StartMethod("import os; os.execve(PY, [PY, CHILD, NAME], {})"),
    "os.execvp": StartMethod(
        "import os; os.environ['PATH'] = os.path.dirname(PY); os.execvp('python', ['python', CHILD, NAME])"
    ),
    "os.execle -I": named("import os; os.execle(PY, PY, '-I', CHILD, NAME, {})", hooked=True),
    "os.spawnv": StartMethod("import os; os.spawnv(os.P_WAIT, PY, [PY, CHILD, NAME])"),
    "os.spawnve, no environment": StartMethod("import os; os.spawnve(os.P_WAIT, PY, [PY, CHILD, NAME], {})"),
    "os.posix_spawn": StartMethod("import os; os.waitpid(os.posix_spawn(PY, [PY, CHILD, NAME], os.environ), 0)"),
    "os.posix_spawn, no environment": StartMethod(
        "import os; os.waitpid(os.posix_spawn(PY, [PY, CHILD, NAME], {}), 0)"
    ),
    "os.posix_spawnp": StartMethod(
        "import os; os.environ['PATH'] = os.path.dirname(PY)\n"
        "os.waitpid(os.posix_spawnp('python', ['python', CHILD, NAME], os.environb), 0)"
    ),
    "os.fork": StartMethod(
        "import os, runpy, sys; sys.argv = [CHILD, NAME]\n"
        "os.fork() or os._exit(runpy.run_path(CHILD, run_name='__main__') and 0)\nos.wait()"
    ),
    "pty.spawn": StartMethod("import pty; pty.spawn([PY, CHILD, NAME])"),
    "pty.fork": StartMethod(
        "import os, pty; pid, fd = pty.fork()\npid or os.execl(PY, PY, CHILD, NAME)\nos.waitpid(pid, 0)"
    ),
    "asyncio's exec": StartMethod(
        "import asyncio\nasync def main():\n    await (await asyncio.create_subprocess_exec(PY, CHILD, NAME)).wait()\n"
        "asyncio.run(main())"
    ),
    "asyncio's shell": StartMethod(
        "import asyncio\nasync def main():\n    command = f'{PY} {CHILD} {NAME}'\n"
        "    await (await asyncio.create_subprocess_shell(command, env={})).wait()\nasyncio.run(main())"
    ),
    "multiprocessing's fork": StartMethod(multiprocessing(PROCESS.format("fork"))),
    "multiprocessing's spawn": StartMethod(multiprocessing(PROCESS.format("spawn"))),
    "multiprocessing's forkserver": StartMethod(multiprocessing(PROCESS.format("forkserver"))),
    "multiprocessing's fork under -I": StartMethod(multiprocessing(PROCESS.format("fork")), flags=("-I",)),
    "multiprocessing's spawn under -I": StartMethod(multiprocessing(PROCESS.format("spawn")), flags=("-I",)),
    "multiprocessing's forkserver under -I": StartMethod(multiprocessing(PROCESS.format("forkserver")), flags=("-I",)),
    "what a fork server imports": StartMethod(multiprocessing(PRELOADED)),
    "what a fork server imports under -I": StartMethod(multiprocessing(PRELOADED), flags=("-I",)),
    "Pool of spawn": StartMethod(multiprocessing(POOL.format("spawn"))),
    "ProcessPoolExecutor of forkserver": StartMethod(multiprocessing(EXECUTOR.format("forkserver"))),
    "ProcessPoolExecutor of spawn under -E": StartMethod(multiprocessing(EXECUTOR.format("spawn")), flags=("-E",)),
    "a script of this Python's": StartMethod(script("#!{PY}")),
    "a script of this Python's with -I": named(script("#!{PY} -I"), hooked=True),
    "a script of env's": StartMethod(script("#!/usr/bin/env python")),
    "a script of env's with -S": named(script("#!/usr/bin/env -S python -S")),
    "env": StartMethod("import subprocess; subprocess.run(['env', 'A=b', PY, CHILD, NAME])"),
    "env -i": named("import subprocess; subprocess.run(['env', '-i', PY, CHILD, NAME])", hooked=True),
    "env -u": named("import subprocess; subprocess.run(['env', '-u', 'PYTHONPATH', PY, CHILD, NAME])", hooked=True),
    "env -vi": named("import subprocess; subprocess.run(['env', '-vi', PY, CHILD, NAME])", hooked=True),
    "os.posix_spawn, a mapping without items": StartMethod(
        "import os\nclass Empty:\n    __len__ = lambda self: 0\n    __getitem__ = None\n"
        "    keys = values = lambda self: []\nos.waitpid(os.posix_spawn(PY, [PY, CHILD, NAME], Empty()), 0)"
    ),
    "nohup": StartMethod("import subprocess; subprocess.run(['nohup', PY, CHILD, NAME])"),
    "a shell script": StartMethod(
        "import os, subprocess\nopen('a.sh', 'w').write(f'#!/bin/sh\\n{PY} {CHILD} {NAME}\\n')\n"
        "os.chmod('a.sh', 0o755)\nsubprocess.run(['./a.sh'])"
    ),
    "a Python without socksify": StartMethod("import subprocess; subprocess.run([PLAIN, CHILD, NAME], env={})"),
    "a Python without socksify, -I": named("import subprocess; subprocess.run([PLAIN, '-I', CHILD, NAME])"),
    "another Python": StartMethod("import subprocess; subprocess.run([OTHER, CHILD, NAME])"),
    "a subinterpreter": StartMethod(
        "try:\n    import _interpreters as made\nexcept ImportError:\n    import _xxsubinterpreters as made\n"
        "assert made.run_string(made.create(), STATEMENT) is None"
    ),
    "PYTHONPATH set": StartMethod(
        "import os, subprocess; os.environ['PYTHONPATH'] = '/nowhere'; subprocess.run([PY, CHILD, NAME])"
    ),
    "os.environ cleared": StartMethod("import os, subprocess; os.environ.clear(); subprocess.run([PY, CHILD, NAME])"),
    "a grandchild": StartMethod(
        "import subprocess\ncode = f'import os; os.system(\"{PY} {CHILD} {NAME}\")'\nsubprocess.run([PY, '-c', code])"
    ),
    "a grandchild without environment": StartMethod(
        "import subprocess\n"
        "code = f'import socket, subprocess; subprocess.run([{PY!r}, {CHILD!r}, {NAME!r}], env={{}})'\n"
        "subprocess.run([PY, '-c', code], env={})"
    ),
    "a grandchild without environment, of a child without sockets": StartMethod(
        "import subprocess\n"
        "code = f'import subprocess; subprocess.run([{PY!r}, {CHILD!r}, {NAME!r}], env={{}})'\n"
        "subprocess.run([PY, '-c', code], env={})"
    ),
    "a grandchild by execve without environment": StartMethod(
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
