"""Programs that connect to nobody and start nobody who does: what a user need not be told of.

Python's own modules start some of them (platform, ctypes.util, uuid, sysconfig), and every second program a few of the
others. They are known by their names in the system's directories: a file of such a name elsewhere may be anything.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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
