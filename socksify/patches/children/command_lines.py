"""The programs that a command line starts: Pythons that find the hook, Pythons that do not and why, and others.

execve(2) follows `#!` lines, so this module follows them too. It also reads the arguments of programs that start other
programs (`wrappers`) and the texts of shells (`shell_commands`). If the arguments or the text cannot be read, the
wrapper or the shell itself counts as a program that connects.

Harmless programs are left out, because a user needs no warning of them: they open no connection and start no program
that does. Python's own modules start some of them (platform, ctypes.util, uuid, sysconfig). A harmless program is
recognized by its name in one of the system's directories; a file of the same name elsewhere may be anything.
"""

from __future__ import annotations

import os
import sys
from itertools import takewhile

from socksify._hook_location import is_complete, is_hooked
from socksify._record import Record
from socksify.patches.children import shell_commands, wrappers
from socksify.patches.children.shell_words import UNKNOWN, UNKNOWN_QUOTED, Unreadable, is_known

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

# execve(2) follows a script whose interpreter is a script itself up to a depth of four. This limit is higher because
# each wrapper and each shell counts as one level, too.
_MAX_DEPTH = 10
# The kernel reads this many bytes of a script (BINPRM_BUF_SIZE).
_SHEBANG_SIZE = 256
# Python/initconfig.c: these options take a value, which may be the next word. -c and -m end the options.
_WITH_VALUE = "WX"
_LAST = "cm"
_LONG_WITH_VALUE = "--check-hash-based-pycs"
# These Pythons do not know f-strings, which the hook uses. From 3.6 to 3.10, a Python can read the hook, which then
# closes the network.
_TOO_OLD = ("python3.0", "python3.2", "python3.3", "python3.4", "python3.5", "pypy3.5")


class Program(Record):
    """A program that is started: its file, and whether it is a Python.

    `why_not` is the reason for which a Python will not find the hook. It is empty if the Python will find the hook.
    """

    path: str
    is_python: bool
    why_not: str = ""


class CommandLine(Record):
    """A file for execve(2) with its argv, in the directory and the environment in which it is started.

    `directory` is empty for the working directory of this process. `cleared_by` names the program that removes the
    settings or PYTHONPATH from the environment. It is empty if no program does so.
    """

    path: str
    words: tuple[str, ...]
    directory: str = ""
    environ: Mapping[str, str] = os.environ
    cleared_by: str = ""

    def find(self, name: str) -> str:
        """Return the file that execvp(3) would start in this environment, or the name itself if there is none."""
        return os.path.join(self.directory, find(name, self.directories()))

    def directories(self) -> list[str]:
        """Return the directories in which programs are looked for."""
        return self.environ.get("PATH", os.defpath).split(os.pathsep)


def programs(line: CommandLine, depth: int = _MAX_DEPTH) -> Iterator[Program]:
    """Yield the programs that a command line starts, without those that are known to be harmless."""
    path, words, name = line.path, line.words, os.path.basename(line.path)
    if is_harmless(path, words):
        return
    if is_python(path):
        yield Program(path, True, _why_not(line))
    elif not depth:
        yield Program(path, False)
    elif name in wrappers.WRAPPERS:
        yield from _in_wrapper(line, name, depth - 1)
    elif name in shell_commands.SHELLS:
        yield from _in_shell(line, words, depth - 1)
    elif interpreter := _shebang(path):
        argv = (*interpreter, path, *words[1:])
        yield from programs(line.replace(path=interpreter[0], words=argv), depth - 1)
    else:
        yield Program(path, False)


def _in_wrapper(line: CommandLine, name: str, depth: int) -> Iterator[Program]:
    commands = wrappers.wrapped_commands(name, line.words)
    if commands is None:
        yield Program(line.path, False)
        return
    for command in commands:
        inner = line.replace(words=command.words, cleared_by=line.cleared_by or command.cleared_by)
        if command.is_shell_text:
            yield from _in_shell(inner, ("sh", "-c", *command.words), depth)
        elif is_known(command.words[0]):
            yield from programs(inner.replace(path=inner.find(command.words[0])), depth)
        else:
            yield Program(line.path, False)


def _in_shell(line: CommandLine, words: Sequence[str], depth: int) -> Iterator[Program]:
    """Yield the programs that a shell starts, or the shell itself if its text cannot be followed."""
    # The shell will get another PYTHONPATH than this process has: our entry is added for the child.
    variables = {name: value for name, value in line.environ.items() if not wrappers.leads_to_hook(name)}
    try:
        text, parameters = shell_commands.text_and_parameters(words, line.directory)
        for command in shell_commands.commands(text, parameters, variables):
            yield from programs(_line_in_shell(line, command), depth)
    except Unreadable:
        yield Program(line.path, False)


def _line_in_shell(line: CommandLine, command: shell_commands.SimpleCommand) -> CommandLine:
    """Return the command line of a command that a shell starts. Raises Unreadable if the program is not known."""
    word, environ = command.words[0], dict(line.environ)
    path = command.changed.get("PATH")
    if path and is_known(path):
        environ["PATH"] = path
    if command.moved and "/" in word and not word.startswith("/") and not is_python(word):
        raise Unreadable
    # After `cd`, the shell's directory is not known. /dev/null is no directory, so no file is found there.
    directory = os.devnull if command.moved else line.directory
    cleared_by = "the shell" if _clears_hook(command.changed) else line.cleared_by
    file = CommandLine("", (), line.directory, environ).find(word)
    # One of Python's options may be among the words that are not known.
    if is_python(file) and any(UNKNOWN in each for each in _options_of_python(command.words[1:])):
        raise Unreadable
    return CommandLine(file, tuple(command.words), directory, environ, cleared_by)


def _clears_hook(changed: Mapping[str, str | None]) -> bool:
    """Return True if a variable that leads to the hook has a new value that does not contain the old value."""
    return any(
        wrappers.leads_to_hook(name) and f"{UNKNOWN_QUOTED}{name}" not in (value or "").replace(UNKNOWN, UNKNOWN_QUOTED)
        for name, value in changed.items()
    )


def _options_of_python(words: Sequence[str]) -> Iterator[str]:
    """Yield the words in front of the script that are options, or may be."""
    for word in words:
        if not word.startswith(("-", UNKNOWN)):
            return
        yield word
        if word[:2] in ("-c", "-m"):
            return


def find(name: str, directories: Iterable[str]) -> str:
    """Return the file that execvp(3) would start; the name itself if there is none."""
    if "/" in name:
        return name
    candidates = (os.path.join(directory, name) for directory in directories)
    return next(filter(is_executable, candidates), name)


def is_executable(path: str) -> bool:
    """Return True if execve(2) would start this file; it does not start directories."""
    # os.access() raises ValueError for a path with a NUL.
    return "\0" not in path and os.access(path, os.X_OK) and os.path.isfile(path)


def is_python(path: str) -> bool:
    """Return True if a program is a Python, by its name."""
    if path == sys.executable:
        return True
    # In a virtual environment, the file is a link to the Python that made the environment.
    return any(map(_is_name_of_python, (path, os.path.realpath(path))))


def _is_name_of_python(path: str) -> bool:
    name = os.path.basename(path)
    plain = name.removeprefix("python").removeprefix("pypy")
    # python3.13t is the build without the global interpreter lock. python3-dbg is Debian's debug build.
    return plain != name and all(character.isdigit() or character in ".-dbgt" for character in plain)


def _why_not(line: CommandLine) -> str:
    """Return why a Python does not find the hook; an empty text if it does."""
    name = os.path.basename(os.path.realpath(line.path))
    if name.startswith(("python2", "pypy2")) or name == "pypy":
        return "a Python before 3 cannot read the hook"
    if name.startswith(_TOO_OLD):
        return "a Python before 3.6 cannot read the hook"
    options = _option_letters(line.words[1:])
    if "S" in options:
        return "-S keeps every hook out"
    if is_hooked(line.path) and is_hooked(_own_path(line)):
        return ""
    if not is_complete():
        return "this installation of socksify lacks the hook"
    ignoring = [option for option in "IE" if option in options]
    if ignoring:
        return f"-{ignoring[0]} ignores PYTHONPATH"
    return f"{line.cleared_by} takes PYTHONPATH or the settings away" if line.cleared_by else ""


def _own_path(line: CommandLine) -> str:
    """Return the path that a Python takes for its own. The Python finds its packages by this path.

    The path is argv[0]; if argv[0] has no slash, the Python looks for it in PATH.
    """
    word = line.words[0] if line.words else ""
    if "/" in word:
        # A relative path is relative to the child's working directory, like the path of the file.
        return line.path if line.path.endswith(word.removeprefix("./")) else word
    return find(word, () if line.cleared_by else line.directories())


def _option_letters(words: Sequence[str]) -> str:
    """Return the letters of the options in front of the script, as python reads them."""
    letters = ""
    remaining = iter(words)
    for word in takewhile(lambda word: word.startswith("-") and word not in ("-", "--"), remaining):
        if word == _LONG_WITH_VALUE:
            next(remaining, None)
        if word.startswith("--"):
            continue
        for position, letter in enumerate(word[1:], 2):
            letters += letter
            if letter in _LAST:
                return letters
            if letter in _WITH_VALUE:
                if position == len(word):
                    next(remaining, None)
                break
    return letters


def _shebang(path: str) -> list[str]:
    """Return the interpreter of a script, and its argument if there is one; empty if the file is no script."""
    try:
        with open(path, "rb", buffering=0) as file:
            start = file.read(_SHEBANG_SIZE)
    except (OSError, ValueError):
        return []
    if not start.startswith(b"#!"):
        return []
    return os.fsdecode(start[2:].partition(b"\n")[0].strip()).split(None, 1)


_SYSTEM_DIRECTORIES = ("/bin", "/sbin", "/usr/bin", "/usr/sbin")
_HARMLESS_TEXT = (
    # GNU coreutils, without the programs that start another program or look names up
    "[ arch b2sum base32 base64 basename basenc cat chcon chgrp chmod chown cksum comm cp csplit cut date dd df dir"
    " dircolors dirname du echo expand expr factor false fmt fold groups head hostid id install join link ln"
    " logname ls md5sum mkdir mkfifo mknod mktemp mv nl nproc numfmt od paste pathchk pr printenv printf ptx pwd"
    " readlink realpath rm rmdir sha1sum sha224sum sha256sum sha384sum sha512sum shred shuf sleep stat"
    " stty sum sync tac tail tee test touch tr true truncate tsort tty uname unexpand uniq unlink users vdir wc"
    " whoami yes"
    # texts, archives, terminals
    " cmp diff patch grep egrep fgrep file seq strings gzip gunzip zcat bzip2 bunzip2 bzcat xz unxz"
    " xzcat lzma zstd unzstd lz4 unzip iconv bc less more clear reset tput infocmp getopt"
    # the machine
    " ps pgrep pkill pidof kill killall free uptime vmstat lscpu lsblk lspci lsusb lsmod lsns dmidecode ifconfig"
    " which whereis getconf locale ldconfig ldd lsb_release systemd-detect-virt sysctl nvidia-smi rocm-smi fc-list"
    " fc-match dpkg-query dpkg-architecture"
    # compilers and binary tools
    " cc c++ c89 c99 gcc g++ clang clang++ cpp gfortran as ld ld.bfd ld.gold ld.lld ar nm objdump objcopy readelf"
    " ranlib strip size addr2line c++filt pkg-config pkgconf"
)
_HARMLESS = frozenset(_HARMLESS_TEXT.split())
# Commands of git that contact no server. An option in front of the command may name a program to start.
_GIT_TEXT = (
    "add blame branch cat-file check-attr check-ignore checkout config describe diff diff-files diff-index diff-tree "
    "for-each-ref hash-object help init log ls-files ls-tree merge-base name-rev rev-list rev-parse show show-ref "
    "status symbolic-ref tag var version --version --exec-path --help"
)
_GIT = frozenset(_GIT_TEXT.split())
_OPENSSL = ("version", "rand", "dgst", "x509", "req", "genrsa", "genpkey", "passwd")
# `git -c` stays harmless with these settings, because none of them names a program.
_GIT_SETTINGS = ("advice.", "color.", "core.quotepath=", "core.quotePath=", "log.showSignature=", "safe.directory=")


def is_harmless(path: str, words: Sequence[str]) -> bool:
    """Return True if a program that is started with the argv `words` is known to open no connection."""
    directory, name = os.path.split(path)
    if directory not in _SYSTEM_DIRECTORIES:
        directory, name = os.path.split(os.path.realpath(path))
        if directory not in _SYSTEM_DIRECTORIES:
            return False
    if _has(words, "-wrapper", "--wrapper"):
        # An option of gcc.
        return False
    condition = _CONDITIONS.get(name)
    return condition(words[1:]) if condition is not None else name in _HARMLESS or _compiler(name) in _HARMLESS


def _compiler(name: str) -> str:
    """Return a compiler's name without its target prefix and its version suffix; empty if the name has neither."""
    plain = name.rstrip("0123456789.").removesuffix("-")
    return plain.rpartition("-linux-gnu-")[2] if "-linux-gnu-" in plain else plain if plain != name else ""


def _has(words: Sequence[str], *parts: str) -> bool:
    return any(part in word for word in words for part in parts)


def _runs_a_shell(word: str) -> bool:
    """Return True if a word of sed may have the command `e` or the flag `e`, or may name a file of commands."""
    import re

    # The texts of substitutions and addresses may contain an `e` that is no command, so they are removed.
    plain = re.sub(r"\b[sy]([^\w\s])(\\.|(?!\1).)*\1(\\.|(?!\1).)*\1[0-9gpiIMm]*|/(\\.|[^/\\])*/I?", ";", word)
    return bool(re.search(r"(^|[;{}!,0-9$=\s])e(?![\w./-])|^-[a-zA-Z]*f|^--fi", plain))


def _is_numeric(words: Sequence[str]) -> bool:
    """Return True if -n is among the options. Without -n, these programs look up the names of addresses."""
    return any(word[:1] == "-" and word[:2] != "--" and "n" in word for word in words) or "--numeric" in words


def _git_stays_local(words: Sequence[str]) -> bool:
    rest = list(words)
    while rest and rest[0].startswith("-"):
        word, _, value = rest[0].partition("=")
        if word in ("-C", "-c", "--git-dir", "--work-tree") and len(rest) > 1 and not value:
            if word == "-c" and not rest[1].startswith(_GIT_SETTINGS):
                return False
            del rest[:2]
        elif word in ("--no-pager", "-P", "--no-optional-locks", "--git-dir", "--work-tree"):
            del rest[0]
        else:
            break
    return bool(rest) and rest[0] in _GIT and not _has(rest[1:], "ext-diff", "--upload-pack")


# Programs that are harmless only with some arguments. Each function gets argv without the program's name, and returns
# True if the program is harmless.
_CONDITIONS: dict[str, Callable[[Sequence[str]], bool]] = {
    # An archive HOST:FILE makes tar start a remote shell, and several options name a program to start.
    "tar": lambda words: not _has(words, ":", "command", "program", "action", "-I", "-F", "script"),
    **dict.fromkeys(
        ("awk", "gawk", "mawk"), lambda words: not _has(words, "/inet", "system", "|", "-f", "--file", "@load")
    ),
    # The command `e` and the flag `e` of `s` start a shell; a file of commands may contain them.
    "sed": lambda words: not any(map(_runs_a_shell, words)),
    **dict.fromkeys(("split", "sdiff", "diff3"), lambda words: not _has(words, "--filter", "--f", "--diff", "-o")),
    "zip": lambda words: not _has(words, "-T", "--unzip-command"),
    **dict.fromkeys(("arp", "netstat", "ss", "route", "lsof"), _is_numeric),
    "ip": lambda words: not _has([word for word in words if word not in ("-br", "-brief")], "netns", "vrf", "-b", "-r"),
    "openssl": lambda words: bool(words) and words[0] in _OPENSSL,
    "hostname": lambda words: not words,
    "sort": lambda words: not _has(words, "--compress"),
    "git": _git_stays_local,
}
