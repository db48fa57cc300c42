"""Files of the hook, or of the package, are missing or damaged: the network stays closed, and can be mended."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.integration.site.breaking import DAMAGES, PERSISTENT, damage, removed
from tests.support import environments
from tests.support.environments import PROXY, Environment


@pytest.mark.parametrize("name", ["__init__.py", "import_watch.py", "installer.py", "network_block.py"])
@pytest.mark.parametrize("left", DAMAGES.values(), ids=DAMAGES)
def test_half_a_hook(broken: Environment, name: str, left: str | None) -> None:
    """Any file of the hook is damaged. network_block.py matters only if the settings are damaged as well."""
    damage(broken.hook / name, left)
    assert broken.code("pass") == ""
    assert broken.code(PERSISTENT).startswith("[Errno 100] socksify: the network is closed: ")
    again = f"import socksify; socksify.install('{PROXY}', routes=['127.0.0.0/8=proxy'])\n{PERSISTENT}"
    assert name == "__init__.py" or "proxy socks5h://127.0.0.1:9 for 127.0.0.2:9" in broken.code(again)


@pytest.mark.parametrize("name", ["__init__.py", "import_watch.py", "installer.py", "network_block.py"])
@pytest.mark.parametrize("left", DAMAGES.values(), ids=DAMAGES)
def test_half_a_hook_can_be_mended_and_taken_out(environment: Environment, name: str, left: str | None) -> None:
    environment.install("--proxy", PROXY)
    damage(environment.hook / name, left)
    environment.install()
    assert environments.PROXIED in environment.code(environments.CONNECT)
    damage(environment.hook / name, left)
    result = environment.site("uninstall")
    assert (result.returncode, result.stderr) == (0, "")
    assert "refused" in environment.code(PERSISTENT)


def test_a_hook_whose_directory_is_gone(broken: Environment) -> None:
    """Only the .pth file is left. It cannot tell the reason."""
    shutil.rmtree(broken.hook)
    assert broken.code("print('fine')") == "fine"
    told = broken.code(PERSISTENT)
    assert told.startswith("[Errno 100] socksify: the network is closed: ")
    assert told.endswith(f"To go without: SOCKSIFY_DISABLE=1, or delete {broken.hook}*")
    assert "refused" in broken.code(PERSISTENT, SOCKSIFY_DISABLE="1")
    status = json.loads(broken.site("status", "--json").stdout)
    assert status["starts"][0]["why"].startswith("closed: [Errno 100] socksify: the network is closed: ")
    assert broken.site("uninstall").returncode == 0
    assert "refused" in broken.code(PERSISTENT)


@pytest.mark.parametrize("left", ["socksify/__pycache__", "socksify/notes.txt"])
def test_a_package_of_which_a_directory_is_left(broken: Environment, left: str) -> None:
    """pip leaves files that it has not installed, and Python takes a directory without __init__.py for a package."""
    removed(broken)
    path = broken.packages / left
    path.parent.mkdir()
    path.touch()
    told = broken.code(PERSISTENT)
    assert told.startswith("[Errno 100] socksify: the network is closed: the package socksify is not there")


def test_a_way_out_that_needs_no_package(environment: Environment) -> None:
    environment.install("--proxy", PROXY)
    removed(environment)
    assert environment.code(PERSISTENT).endswith(
        "the package socksify is not there; install it again. To go without: SOCKSIFY_DISABLE=1, "
        f"or delete {environment.hook} and {environment.hook}.*"
    )


def test_an_interrupt_before_the_install_has_begun(environment: Environment) -> None:
    environment.install("--proxy", PROXY)
    damage(environment.hook / "installer.py", "raise KeyboardInterrupt")
    program = PERSISTENT.replace("except Exception", "except KeyboardInterrupt")
    assert environment.code(program).startswith("[Errno 100] socksify: the network is closed: ")


@pytest.mark.parametrize("left", DAMAGES.values(), ids=DAMAGES)
def test_half_a_directory_on_pythonpath(environment: Environment, template: Path, left: str | None) -> None:
    damage(template / "socksify_hook" / "__init__.py", left)
    variables = {"PYTHONPATH": str(template), "SOCKSIFY_PROXY": PROXY}
    assert environment.code("pass", **variables) == ""
    assert environment.code(PERSISTENT, **variables).startswith(f"[Errno 100] socksify: {template}/sitecustomize.py")


def test_a_directory_on_pythonpath_says_how_to_get_rid_of_it(environment: Environment) -> None:
    variables = {"PYTHONPATH": str(environments.TEMPLATE), "SOCKSIFY_PROXI": PROXY}
    result = environment.run("-c", "import socket; socket.gethostbyname('name.example')", **variables)
    assert f"or take {environments.TEMPLATE} off PYTHONPATH" in result.stderr


def test_the_file_alone_without_what_belongs_to_it(environment: Environment, tmp_path: Path) -> None:
    shutil.copy(environments.TEMPLATE / "sitecustomize.py", tmp_path)
    variables = {"PYTHONPATH": str(tmp_path)}
    result = environment.run("-c", "import socket; socket.gethostbyname('name.example')", **variables)
    assert f"OSError: [Errno 100] socksify: {tmp_path}/sitecustomize.py needs socksify_hook/ beside it" in result.stderr
    assert environment.code("pass", **variables) == ""
