"""The hook before and after the real sitecustomize files of ddtrace, newrelic and opentelemetry on PYTHONPATH."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.environments import CONNECT, PROXIED, PROXY, TEMPLATE

PYTHON = os.path.abspath(os.environ["TRACERS"])
OFFLINE = {"DD_TRACE_ENABLED": "false", "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false"}
OFFLINE |= {"DD_REMOTE_CONFIGURATION_ENABLED": "false"}
TOOLS = {
    "newrelic": "newrelic/bootstrap",
    "ddtrace": "ddtrace/bootstrap",
    "opentelemetry": "opentelemetry/instrumentation/auto_instrumentation",
}
PLACE = "import sysconfig; print(sysconfig.get_path('purelib'))"


def run(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [PYTHON, "-W", "ignore", "-c", code]
    return subprocess.run(command, env=OFFLINE | variables, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("name", TOOLS)
@pytest.mark.parametrize("is_behind", [True, False], ids=["behind ours", "before ours"])
def test_each_runs_once(name: str, is_behind: bool, tmp_path: Path) -> None:
    tool = os.path.join(run(PLACE).stdout.strip(), TOOLS[name])
    assert os.path.exists(os.path.join(tool, "sitecustomize.py"))
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.stderr.write('user ran\\n')")
    order = [str(TEMPLATE), tool] if is_behind else [tool, str(TEMPLATE)]
    path = os.pathsep.join([*order, str(tmp_path)])
    result = run(f"import sys; print({name!r} in sys.modules)\n{CONNECT}", PYTHONPATH=path, SOCKSIFY_PROXY=PROXY)
    assert "Error in sitecustomize" not in result.stderr
    # opentelemetry's file does not run the next one, with or without the hook.
    assert result.stderr.count("user ran\n") == (name != "opentelemetry")
    assert (PROXIED in result.stdout) == (name != "opentelemetry" or is_behind)
    if name != "newrelic":  # which is not imported without a licence
        assert result.stdout.startswith("True")
