"""What a command starts: Pythons that will find the hook, Pythons that will not and why, and other programs.

execve(2) follows `#!` lines, so they are followed here. Programs that start the program in their arguments are looked
through, and so are the texts of shells. Whatever cannot be looked through counts as a program that connects.
"""

from __future__ import annotations

import os
import sys
from itertools import takewhile

from socksify._hook_location import is_hooked
from socksify._record import Record
from socksify.patches.children import shells, wrappers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

# execve(2): an interpreter may be a script itself, up to a depth of four. Wrappers and shells are counted in.
_DEPTH = 10
# The kernel reads as much of a script (BINPRM_BUF_SIZE).
_LINE = 256
# Python/initconfig.c: the options that take a value, which may stand in the next word; -c and -m end the options.
_WITH_VALUE = "WX"
_LAST = "cm"
_LONG_WITH_VALUE = "--check-hash-based-pycs"


# They know no f-strings, which the hook is written with. Those up to 3.10 read it and are closed.
_TOO_OLD = ("python3.0", "python3.2", "python3.3", "python3.4", "python3.5", "pypy3.5")


class Program(Record):
    """A program that is started: its file, and for a Python why it will not find the hook, empty if it will."""

    path: str
    is_python: bool
    why_not: str = ""


class Start(Record):
    """A command: the file that execve(2) is given, its argv, and what it finds where it is started.

    `environ` is the child's environment, where it is another one than this process's. `taken` names who takes from it
    what leads to the hook, if anybody does.
    """

    path: str
    words: tuple[str, ...]
    directory: str = ""
    environ: Mapping[str, str] = os.environ
    taken: str = ""

    def found(self, name: str) -> str:
        """The file that this child's execvp(3) would start, or the name itself."""
        return os.path.join(self.directory, found(name, self.directories()))

    def directories(self) -> list[str]:
        """Where it looks for programs."""
        return self.environ.get("PATH", os.defpath).split(os.pathsep)


def programs(start: Start, depth: int = _DEPTH) -> Iterator[Program]:
    """What a command starts, without what is known to connect to nobody."""
    path, words, name = start.path, start.words, os.path.basename(start.path)
    if is_harmless(path, words):
        return
    if is_python(path):
        yield Program(path, True, _why_not(start))
        return
    if not depth:
        yield Program(path, False)
    elif name in wrappers.NAMES:
        yield from _wrapped(start, name, depth - 1)
    elif name in shells.NAMES:
        yield from _by_shell(start, words, depth - 1)
    else:
        line = _shebang(path)
        if line:
            behind = (*line, path, *words[1:])
            yield from programs(start.replace(path=line[0], words=behind), depth - 1)
        else:
            yield Program(path, False)


def _wrapped(start: Start, name: str, depth: int) -> Iterator[Program]:
    commands = wrappers.behind(name, start.words)
    if commands is None:
        yield Program(start.path, False)
        return
    for command in commands:
        inner = start.replace(words=command.words, taken=start.taken or command.taken)
        if not command.by_shell and any(mark in command.words[0] for mark in (shells.UNKNOWN, shells.QUOTED)):
            yield Program(start.path, False)
            continue
        if command.by_shell:
            yield from _by_shell(inner, ("sh", "-c", *command.words), depth)
        else:
            yield from programs(inner.replace(path=inner.found(command.words[0])), depth)


def _by_shell(start: Start, words: Sequence[str], depth: int) -> Iterator[Program]:
    """What a shell starts; the shell itself where nobody can tell."""
    # What it knows of PYTHONPATH is not what the program knows.
    variables = {name: value for name, value in start.environ.items() if not wrappers.leads_to_hook(name)}
    try:
        text, parameters = shells.text_of(words, start.directory)
        for command in shells.commands(text, parameters, variables):
            yield from programs(_by_command(start, command), depth)
    except shells.Unreadable:
        yield Program(start.path, False)


def _by_command(start: Start, command: shells.Command) -> Start:
    taken = start.taken
    for name, value in command.changed.items():
        # One that is put in front of what was there leaves that.
        if wrappers.leads_to_hook(name) and f"{shells.QUOTED}{name}" not in (value or "").replace("\0", "\1"):
            taken = "the shell"
    environ = dict(start.environ)
    path = command.changed.get("PATH")
    if path and not any(mark in path for mark in (shells.UNKNOWN, shells.QUOTED)):
        environ["PATH"] = path
    inner = Start("", tuple(command.words), start.directory, environ, taken)
    word = command.words[0]
    if command.moved and "/" in word and not word.startswith("/") and not is_python(word):
        raise shells.Unreadable
    # Nothing is found in what is no directory.
    directory = os.devnull if command.moved else start.directory
    inner = Start(inner.found(word), inner.words, directory, environ, taken)
    # An option of Python's may be among what nobody knows.
    if is_python(inner.path) and any(shells.UNKNOWN in word for word in _before_script(command.words[1:])):
        raise shells.Unreadable
    return inner


def _before_script(words: Sequence[str]) -> Iterator[str]:
    for word in words:
        if not word.startswith(("-", shells.UNKNOWN)):
            return
        yield word
        if word[:2] in ("-c", "-m"):
            return


def found(name: str, directories: Iterable[str]) -> str:
    """The file that execvp(3) would start; the name itself if there is none."""
    if "/" in name:
        return name
    candidates = (os.path.join(directory, name) for directory in directories)
    return next(filter(is_executable, candidates), name)


def is_executable(path: str) -> bool:
    """Whether execve(2) would start it, which goes past directories."""
    # The system refuses a NUL.
    return "\0" not in path and os.access(path, os.X_OK) and os.path.isfile(path)


def is_python(path: str) -> bool:
    if path == sys.executable:
        return True
    # A virtual environment's is a link to the one that it was made with.
    return any(_has_pythons_name(name) for name in (path, os.path.realpath(path)))


def _has_pythons_name(path: str) -> bool:
    name = os.path.basename(path)
    plain = name.removeprefix("python").removeprefix("pypy")
    # python3.13t is the one without the global lock, python3-dbg Debian's for debugging.
    return plain != name and all(character.isdigit() or character in ".-dbgt" for character in plain)


def _why_not(start: Start) -> str:
    path, words = start.path, start.words
    name = os.path.basename(os.path.realpath(path))
    if name.startswith(("python2", "pypy2")) or name == "pypy":
        return "a Python before 3 cannot read the hook"
    if name.startswith(_TOO_OLD):
        return "a Python before 3.6 cannot read the hook"
    options = _options(words[1:])
    if "S" in options:
        return "-S keeps every hook out"
    if is_hooked(path) and is_hooked(_looked_for(start)):
        return ""
    ignoring = [option for option in "IE" if option in options]
    if ignoring:
        return f"-{ignoring[0]} ignores PYTHONPATH"
    return f"{start.taken} takes PYTHONPATH or the settings away" if start.taken else ""


def _looked_for(start: Start) -> str:
    """Where a Python takes itself to be, and so its packages: it goes by argv[0], and for a bare name by PATH."""
    word = start.words[0] if start.words else ""
    if "/" in word:
        # A relative one is seen from the child's working directory, and so is the path.
        return start.path if start.path.endswith(word.removeprefix("./")) else word
    return found(word, () if start.taken else start.directories())


def _options(words: Sequence[str]) -> str:
    """The letters of the options that stand before the script, as python reads them."""
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
    """The interpreter and its argument, if any, of a script; empty for what is none."""
    try:
        with open(path, "rb", buffering=0) as file:
            start = file.read(_LINE)
    except (OSError, ValueError):
        return []
    if not start.startswith(b"#!"):
        return []
    return os.fsdecode(start[2:].partition(b"\n")[0].strip()).split(None, 1)


# Programs that connect to nobody and start nobody who does: what a user need not be told of.
#
# Python's own modules start some of them (platform, ctypes.util, uuid, sysconfig), and every second program a few of
# the others. They are known by their names in the system's directories: a file of such a name elsewhere may be
# anything.


_DIRECTORIES = ("/bin", "/sbin", "/usr/bin", "/usr/sbin")
_NAMES_TEXT = (
    # GNU coreutils, without those that start another program or look names up
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
    # compilers and what belongs to them
    " cc c++ c89 c99 gcc g++ clang clang++ cpp gfortran as ld ld.bfd ld.gold ld.lld ar nm objdump objcopy readelf"
    " ranlib strip size addr2line c++filt pkg-config pkgconf"
)
_NAMES = frozenset(_NAMES_TEXT.split())
# git's commands that go to no server. An option before them may give them a program to start.
_GIT_TEXT = (
    "add blame branch cat-file check-attr check-ignore checkout config describe diff diff-files diff-index diff-tree "
    "for-each-ref hash-object help init log ls-files ls-tree merge-base name-rev rev-list rev-parse show show-ref "
    "status symbolic-ref tag var version --version --exec-path --help"
)
_GIT = frozenset(_GIT_TEXT.split())
_OPENSSL = ("version", "rand", "dgst", "x509", "req", "genrsa", "genpkey", "passwd")
# What -c may set without a program among it.
_GIT_SETTINGS = ("advice.", "color.", "core.quotepath=", "core.quotePath=", "log.showSignature=", "safe.directory=")


def is_harmless(path: str, words: Sequence[str]) -> bool:
    """Whether this program, started by these words, is known to connect to nobody."""
    directory, name = os.path.split(path)
    if directory not in _DIRECTORIES:
        directory, name = os.path.split(os.path.realpath(path))
        if directory not in _DIRECTORIES:
            return False
    asked = _CONDITIONS.get(name)
    if _has(words, "-wrapper", "--wrapper"):
        # Of gcc's.
        return False
    # A compiler's name may begin with its target, and end with its version.
    return asked(words[1:]) if asked is not None else name in _NAMES or _compiler(name) in _NAMES


def _compiler(name: str) -> str:
    plain = name.rstrip("0123456789.").removesuffix("-")
    return plain.rpartition("-linux-gnu-")[2] if "-linux-gnu-" in plain else plain if plain != name else ""


def _has(words: Sequence[str], *parts: str) -> bool:
    return any(part in word for word in words for part in parts)


def _runs_a_shell(word: str) -> bool:
    """Whether a word of sed's may have the command `e` or the flag `e`, or name a file of commands."""
    import re

    # Without substitutions and addresses, whose texts mean nothing here.
    plain = re.sub(r"\b[sy]([^\w\s])(\\.|(?!\1).)*\1(\\.|(?!\1).)*\1[0-9gpiIMm]*|/(\\.|[^/\\])*/I?", ";", word)
    return bool(re.search(r"(^|[;{}!,0-9$=\s])e(?![\w./-])|^-[a-zA-Z]*f|^--fi", plain))


def _is_numeric(words: Sequence[str]) -> bool:
    """Whether -n is among the options, which keeps addresses from being looked up."""
    return any(word[:1] == "-" and word[:2] != "--" and "n" in word for word in words) or "--numeric" in words


def _goes_nowhere(words: Sequence[str]) -> bool:
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


_CONDITIONS: dict[str, Callable[[Sequence[str]], bool]] = {
    # HOST:FILE is reached by another program, and several options name programs.
    "tar": lambda words: not _has(words, ":", "command", "program", "action", "-I", "-F", "script"),
    **dict.fromkeys(
        ("awk", "gawk", "mawk"), lambda words: not _has(words, "/inet", "system", "|", "-f", "--file", "@load")
    ),
    # A command `e`, or a flag `e` of `s`, starts a shell; so does what a file of commands may have.
    "sed": lambda words: not any(map(_runs_a_shell, words)),
    **dict.fromkeys(("split", "sdiff", "diff3"), lambda words: not _has(words, "--filter", "--f", "--diff", "-o")),
    "zip": lambda words: not _has(words, "-T", "--unzip-command"),
    **dict.fromkeys(("arp", "netstat", "ss", "route", "lsof"), _is_numeric),
    "ip": lambda words: not _has([word for word in words if word not in ("-br", "-brief")], "netns", "vrf", "-b", "-r"),
    "openssl": lambda words: bool(words) and words[0] in _OPENSSL,
    "hostname": lambda words: not words,
    "sort": lambda words: not _has(words, "--compress"),
    "git": _goes_nowhere,
}
