"""What the README says was run: its file is read, its options exist, its commands answer."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import socksify
from socksify import config
from socksify.config.schema import SETTINGS
from tests.support import paths

README = paths.README.read_text()


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", README, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_file_of_the_readme_is_read(tmp_path: Path) -> None:
    path = tmp_path / "socksify.toml"
    path.write_text(block("toml"))
    settings = config.load({"config": str(path)}, {}, str(tmp_path))
    assert [rule.via for rule in settings.rules[:3]] == ["tor", "proxy+tor", "block"]
    assert [hop.host for hop in settings.chain("proxy+tor")] == ["gw.example", "127.0.0.1"]


def test_the_program_of_the_readme_runs(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(block("python"))
    subprocess.run([sys.executable, program], check=True, timeout=60, env={**os.environ, "PYTHONDEVMODE": "1"})


def test_the_table_of_settings_is_whole() -> None:
    rows = set(re.findall(r"`(SOCKSIFY_[A-Z_]+)` \|", README))
    assert rows == {setting.variable for setting in SETTINGS if setting.name != "config"}


def test_the_public_names_are_described() -> None:
    undescribed = [name for name in socksify.__all__ if name not in README and not name.startswith("Proxy")]
    assert undescribed == []


def test_the_questions_of_the_readme_are_answered() -> None:
    for question in (["--show"], ["--show=json"], ["--explain", "www.corp.example:443"]):
        words = [sys.executable, "-m", "socksify", "--proxy", "socks5h://user:secret@gw:1080", *question]
        answer = subprocess.run(words, check=True, timeout=60, capture_output=True, text=True)
        assert "gw:1080" in answer.stdout
        assert "secret" not in answer.stdout
