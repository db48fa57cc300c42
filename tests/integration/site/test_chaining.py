"""Other sitecustomize files, before and after the hook's on PYTHONPATH. Each runs once, as it would without the hook.

The stand-ins do what the tools they are called after do when they are started: opentelemetry's runs nobody else's,
ddtrace's leaves sys.path and imports the next, newrelic's loads the first that is not in its own directory.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support import environments
from tests.support.environments import CONNECT, PROXIED, PROXY, TEMPLATE, Environment, Result
from tests.support.processes import unavailable

TOLD = 'import sys; sys.stderr.write("{name} ran\\n")\n'
TOOLS = {
    "opentelemetry": "",
    "ddtrace": """
import os
here = os.path.dirname(__file__)
index = sys.path.index(here)
del sys.path[index]
mine = sys.modules.pop("sitecustomize", None)
try:
    import sitecustomize
except ImportError:
    sys.modules["sitecustomize"] = mine
finally:
    sys.path.insert(index, here)
""",
    "newrelic": """
import os
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
here = os.path.dirname(__file__)
spec = PathFinder.find_spec("sitecustomize", [entry for entry in sys.path if entry != here])
if spec is not None:
    # This is what load_module() of loaders did, which Python 3.15 has removed.
    sys.modules["sitecustomize"] = module = sys.modules.get("sitecustomize") or module_from_spec(spec)
    module.__spec__, module.__loader__, module.__file__ = spec, spec.loader, spec.origin
    spec.loader.exec_module(module)
""",
    "user": "",
    "failing": "raise ValueError('of the user')\n",
    "missing": "import nothing_of_this_name\n",
    "leaving": "raise SystemExit(7)\n",
    "warning": "import warnings; warnings.warn('of the user')\n",
}
# The order on PYTHONPATH, and True if the hook is reached.
ORDERS = {
    "ours user": True,
    "user ours": False,
    "ours opentelemetry user": True,
    "opentelemetry ours user": False,
    "ours ddtrace user": True,
    "ddtrace ours user": True,
    "ddtrace user ours": False,
    "ours newrelic user": True,
    "newrelic ours user": True,
    "ddtrace ours newrelic user": True,
    # Without the hook, each of these three starts newrelic's file twice.
    "ours newrelic ddtrace user": True,
    "newrelic ddtrace ours user": True,
    "newrelic ours ddtrace opentelemetry user": True,
    "ours link user": True,
    "link ours user": True,
    "ours ours link user": True,
    "ours copy user": True,
    "newrelic ours copy link user": True,
}


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("chain")
    for name, code in TOOLS.items():
        (root / name).mkdir()
        (root / name / "sitecustomize.py").write_text(TOLD.format(name=name) + code)
    (root / "link").symlink_to(TEMPLATE)
    (root / "elsewhere").mkdir()
    (root / "elsewhere" / "link").symlink_to(root / "link")
    shutil.copytree(TEMPLATE, root / "copy")
    return {name: root / name for name in (*TOOLS, "copy")} | {"link": root / "elsewhere" / "link", "ours": TEMPLATE}


def run(environment: Environment, places: dict[str, Path], order: str, code: str, *flags: str, **more: str) -> Result:
    path = os.pathsep.join(str(places[name]) for name in order.split())
    return environment.run("-W", "ignore", *flags, "-c", code, PYTHONPATH=path, **more)


CODE = """
import sitecustomize, socket, sys
print(sitecustomize.__file__, getattr(sys.modules.get("socksify_hook"), "state", None))
"""


@pytest.mark.parametrize(("order", "is_reached"), ORDERS.items(), ids=ORDERS)
def test_each_runs_as_without_us(
    environment: Environment, places: dict[str, Path], order: str, is_reached: bool
) -> None:
    """The same files run in the same order, none more often. The same one is `sitecustomize` afterwards."""
    without = " ".join(name for name in order.split() if name not in ("ours", "link", "copy"))
    expected = run(environment, places, without, CODE)
    result = run(environment, places, order, CODE, SOCKSIFY_PROXY=PROXY)
    ran, would_have_run = result.stderr.splitlines(), expected.stderr.splitlines()
    assert list(dict.fromkeys(ran)) == list(dict.fromkeys(would_have_run))
    assert all(ran.count(line) <= would_have_run.count(line) for line in ran)
    assert result.stdout.split() == [expected.stdout.split()[0], "installed" if is_reached else "None"]


def test_the_environments_hook_needs_no_chain(hooked: Environment, places: dict[str, Path]) -> None:
    """The hook is reached unless an earlier sitecustomize does not run the next one."""
    result = run(hooked, places, "opentelemetry ours user", CONNECT)
    assert result.stderr == "opentelemetry ran\n"
    assert PROXIED in result.stdout


@pytest.mark.parametrize("name", ["failing", "missing", "warning"])
@pytest.mark.parametrize("state", ["installing", "off", "closed"])
def test_what_a_users_file_raises_is_told_as_without_us(
    environment: Environment, places: dict[str, Path], name: str, state: str
) -> None:
    variables = {"installing": {"SOCKSIFY_PROXY": PROXY}, "off": {}, "closed": {"SOCKSIFY_PROXI": PROXY}}[state]
    alone = run(environment, places, name, "import sys; print('sitecustomize' in sys.modules)")
    behind = run(environment, places, f"ours {name}", "import sys; print('sitecustomize' in sys.modules)", **variables)
    assert (behind.returncode, behind.stdout, behind.stderr) == (alone.returncode, alone.stdout, alone.stderr)


def test_a_users_file_may_end_the_interpreter(environment: Environment, places: dict[str, Path]) -> None:
    """The traceback of a fatal error has additional lines, but the same last lines as without the hook."""
    alone = run(environment, places, "leaving", "print('went on')")
    behind = run(environment, places, "ours leaving", "print('went on')", SOCKSIFY_PROXY=PROXY)
    assert (behind.returncode, behind.stdout) == (alone.returncode, alone.stdout)
    assert behind.stderr.splitlines()[-3:] == alone.stderr.splitlines()[-3:]


def test_without_anybody_behind(environment: Environment) -> None:
    result = environment.run("-c", CODE, PYTHONPATH=str(TEMPLATE), SOCKSIFY_PROXY=PROXY)
    assert (result.stdout, result.stderr) == (f"{TEMPLATE}/sitecustomize.py installed\n", "")


@pytest.mark.parametrize("name", ["ours", "link"])
def test_a_python_without_the_package(places: dict[str, Path], name: str, tmp_path: Path) -> None:
    """The hook finds the package beside itself, by any path."""
    bare = environments.create(tmp_path / "bare", with_package=False)
    assert PROXIED in bare.code(CONNECT, PYTHONPATH=str(places[name]), SOCKSIFY_PROXY=PROXY)


def test_debians_own() -> None:
    """Such a file is in the standard library's directory, which comes before site-packages."""
    if not Path("/usr/lib/python3.11/sitecustomize.py").exists():
        unavailable("there is no Debian Python 3.11")
    for variables, state in (({"SOCKSIFY_PROXY": PROXY}, "installed"), ({}, "off")):
        result = subprocess.run(
            ["/usr/bin/python3.11", "-c", CODE],
            env={"PYTHONPATH": str(TEMPLATE)} | variables,
            capture_output=True,
            text=True,
            cwd="/",
        )
        assert result.stdout.startswith(f"/usr/lib/python3.11/sitecustomize.py {state}")
        assert result.stderr == ""
