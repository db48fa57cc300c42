"""`make tracers` names a Python that has the tools. Without it, nothing is collected here."""

import os

collect_ignore = [] if os.environ.get("TRACERS") else ["test_tracers.py"]
