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
    " readlink realpath rm rmdir sha1sum sha224sum sha256sum sha384sum sha512sum shred shuf sleep split stat"
    " stty sum sync tac tail tee test touch tr true truncate tsort tty uname unexpand uniq unlink users vdir wc"
    " whoami yes"
    # texts, archives, terminals
    " cmp diff diff3 sdiff patch grep egrep fgrep sed file strings gzip gunzip zcat bzip2 bunzip2 bzcat xz unxz"
    " xzcat lzma zstd unzstd lz4 zip unzip iconv bc dc less more clear reset tput infocmp getopt"
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
    "add blame branch cat-file check-attr check-ignore checkout config describe diff for-each-ref "
    "hash-object help init log ls-files ls-tree merge-base name-rev rev-list rev-parse show show-ref "
    "status symbolic-ref tag var version --version --exec-path --help"
)
_GIT = frozenset(_GIT_TEXT.split())


def is_harmless(path: str, words: Sequence[str]) -> bool:
    """Whether this program, started by these words, is known to connect to nobody."""
    directory, name = os.path.split(path)
    if directory not in _DIRECTORIES:
        directory, name = os.path.split(os.path.realpath(path))
        if directory not in _DIRECTORIES:
            return False
    asked = _CONDITIONS.get(name)
    # A compiler's name may begin with its target, and end with its version.
    return asked(words[1:]) if asked is not None else name in _NAMES or _compiler(name) in _NAMES


def _compiler(name: str) -> str:
    plain = name.rstrip("0123456789.").removesuffix("-")
    return plain.rpartition("-linux-gnu-")[2] if "-linux-gnu-" in plain else plain if plain != name else ""


def _has(words: Sequence[str], *parts: str) -> bool:
    return any(part in word for word in words for part in parts)


def _is_numeric(words: Sequence[str]) -> bool:
    """Whether -n is among the options, which keeps addresses from being looked up."""
    return any(word[:1] == "-" and word[:2] != "--" and "n" in word for word in words) or "--numeric" in words


def _goes_nowhere(words: Sequence[str]) -> bool:
    rest = list(words)
    while rest and rest[0] in ("-C", "--no-pager", "-P", "--no-optional-locks"):
        del rest[: 2 if rest[0] == "-C" else 1]
    return bool(rest) and rest[0] in _GIT and not _has(rest[1:], "ext-diff", "--upload-pack")


_CONDITIONS: dict[str, Callable[[Sequence[str]], bool]] = {
    # HOST:FILE is reached by another program, and several options name programs.
    "tar": lambda words: not _has(words, ":", "command", "program", "action", "-I", "-F", "script"),
    **dict.fromkeys(
        ("awk", "gawk", "mawk"), lambda words: not _has(words, "/inet", "system", "|", "-f", "--file", "@load")
    ),
    **dict.fromkeys(("arp", "netstat", "ss", "route", "lsof"), _is_numeric),
    "ip": lambda words: not _has(words, "netns", "vrf", "-b", "-r"),
    "hostname": lambda words: not words,
    "sort": lambda words: not _has(words, "--compress"),
    "git": _goes_nowhere,
}
