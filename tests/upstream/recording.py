"""A pytest plugin: writes what became of each test to the file that DPM_RESULTS names, {"file::test": "passed", …}."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

OUTCOMES: dict[str, str] = {}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Set-up, call and tear-down each report; the worst counts."""
    if report.failed or (report.outcome != "passed" and report.nodeid not in OUTCOMES):
        OUTCOMES[report.nodeid] = report.outcome
    elif report.when == "call":
        OUTCOMES.setdefault(report.nodeid, report.outcome)


def pytest_sessionfinish() -> None:
    """All tests are done."""
    Path(os.environ["DPM_RESULTS"]).write_text(json.dumps(OUTCOMES), "utf-8")
