"""Hypothesis without deadlines: the time of an example depends on the machine more than on the code."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("no-deadline", deadline=None)
settings.load_profile("no-deadline")
