"""A pytest plugin: writes the outcome of each test, {"file::test": "passed", …}, to the file UPSTREAM_RESULTS names."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

OUTCOMES: dict[str, str] = {}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Record the worst of what set-up, call, tear-down and subtests report."""
    if report.failed or (report.outcome != "passed" and report.nodeid not in OUTCOMES):
        OUTCOMES[report.nodeid] = report.outcome
    elif report.when == "call":
        OUTCOMES.setdefault(report.nodeid, report.outcome)


def pytest_sessionfinish() -> None:
    """Write the file."""
    Path(os.environ["UPSTREAM_RESULTS"]).write_text(json.dumps(OUTCOMES), "utf-8")
