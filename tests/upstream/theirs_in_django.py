"""Settings for Django's ``runtests.py``: Django's own sessions and signers; the outcomes are recorded."""

from __future__ import annotations

from test_sqlite import *  # type: ignore[import-not-found]  # noqa: F403 (the settings that Django's tests come with)

TEST_RUNNER = "recording_runner.Runner"
