"""`make tracers` names the Python that has the tools; without it there is nothing here to be collected."""

import os

collect_ignore = [] if os.environ.get("TRACERS") else ["test_tracers.py"]
