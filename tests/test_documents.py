"""The documents speak of what exists: paths and links lead somewhere, and the version is stated once."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import socksify
from tests.support.paths import ROOT

DOCUMENTS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")]
DOCUMENTS += sorted((ROOT / "docs").glob("*.md"))
PACKAGES = sorted(path.name for path in (ROOT / "socksify").iterdir() if path.is_dir() and path.name != "__pycache__")
# Paths are written from the root, or from the package when they begin with the name of one of its folders.
FOLDERS = [".ci", "docs", "sitecustomize_template", "socksify", "tests"]
PATH = re.compile(rf"(?<![\w./~$-])(?:{'|'.join(map(re.escape, FOLDERS + PACKAGES))})/[\w./*-]*")
FILE = re.compile(r"(?<![\w./~$*-])(?:[A-Z]+\.md|Makefile|LICENSE|pyproject\.toml|\.pre-commit-config\.yaml)\b")
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
# Where the version may be written.
STATED_IN = ROOT / "socksify" / "__init__.py"


def missing_paths(text: str) -> set[str]:
    """The paths in a text that do not exist; `*` stands for any name."""
    named = {found.rstrip("./") for found in PATH.findall(text)} | set(FILE.findall(text))
    return {path for path in named if not any(_base(path).glob(path))}


def _base(path: str) -> Path:
    return ROOT / "socksify" if path.partition("/")[0] in PACKAGES else ROOT


def anchors(document: Path) -> set[str]:
    """The headings of a document as GitHub makes anchors of them."""
    headings = HEADING.findall(FENCED.sub("", document.read_text()))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(document: Path, text: str) -> Iterator[str]:
    """The relative links in a text of a document that lead to no file or to no heading."""
    for link in LINK.findall(text):
        name, _, anchor = link.partition("#")
        target = document.parent / name if name else document
        if "://" in link:
            continue
        if not target.exists() or (anchor and anchor not in anchors(target)):
            yield link


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_path_in_a_document_exists(document: Path) -> None:
    assert missing_paths(document.read_text()) == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_in_a_document_leads_somewhere(document: Path) -> None:
    assert list(broken_links(document, document.read_text())) == []


def test_every_module_has_its_place_in_the_tree() -> None:
    """A row of the tables names the module, or a folder that it is in."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    tree = text.partition("\n## The tree\n")[2].partition("\n## ")[0]
    rows = "\n".join(line for line in tree.splitlines() if line.startswith("|"))
    named = {_base(path) / path.rstrip("/") for path in PATH.findall(rows)}
    modules = [path for path in (ROOT / "socksify").rglob("*.py") if path.name != "__init__.py"]
    assert [path for path in modules if not named & {path, *path.parents}] == []


def test_the_examples_are_lines_of_the_code() -> None:
    """Comments aside, which an example has of its own."""
    files = [path for folder in ("socksify", "tests") for path in (ROOT / folder).rglob("*.py")]
    lines = {line.strip() for path in files if path != Path(__file__) for line in path.read_text().splitlines()}
    shown = re.findall(r"^ *```python\n(.*?)```$", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE | re.DOTALL)
    assert shown
    examples = [line.strip() for example in shown for line in example.splitlines()]
    assert [line for line in examples if line not in lines and not line.startswith(("...", "#"))] == []


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("`tests/no_such_test.py`", {"tests/no_such_test.py"}),
        ("in protocol/socks6.py.", {"protocol/socks6.py"}),
        ("see HISTORY.md", {"HISTORY.md"}),
        ("`socksify/protocol/socks*.py`, `protocol/`, /srv/tests/x, ~/.config/socksify/socksify.toml", set()),
    ],
)
def test_a_missing_path_is_seen(text: str, missing: set[str]) -> None:
    assert missing_paths(text) == missing


@pytest.mark.parametrize("link", ["NONE.md", "README.md#no-such-heading", "#no-such-heading"])
def test_a_broken_link_is_seen(link: str) -> None:
    assert list(broken_links(ROOT / "SECURITY.md", f"[text]({link})")) == [link]


def test_the_version_is_stated_once() -> None:
    """The package metadata and the changelog follow; documents and the hook do not repeat it."""
    version = re.compile(rf"(?<![\d.]){re.escape(socksify.__version__)}(?![\d.])")
    folders = [ROOT / name for name in ("socksify", "sitecustomize_template", "docs")]
    files = [ROOT / name for name in ("pyproject.toml", "Makefile", "README.md", "CONTRIBUTING.md", "SECURITY.md")]
    files += [path for folder in folders for path in folder.rglob("*") if path.suffix in (".py", ".md", ".toml")]
    assert [path for path in files if version.search(path.read_text())] == [STATED_IN]


def test_the_version_of_a_build_is_the_packages() -> None:
    command = [sys.executable, "-m", "hatchling", "version"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert told.stdout.strip() == socksify.__version__


def test_the_version_has_its_place_in_the_changelog() -> None:
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert socksify.__version__ in headings
