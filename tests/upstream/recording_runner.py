"""A runner for Django's ``runtests.py`` that writes the outcome of each test to the file UPSTREAM_RESULTS names."""

from __future__ import annotations

import json
import os
import unittest
from pathlib import Path
from typing import Any

from django.test.runner import DiscoverRunner

__all__ = ["OUTCOMES", "Result", "Runner"]

OUTCOMES: dict[str, str] = {}


class Result(unittest.TextTestResult):
    """Records the outcome of every test under its name."""

    def startTest(self, test: unittest.TestCase) -> None:  # noqa: N802 (unittest's name)
        """A test has passed until it is said to have failed."""
        super().startTest(test)
        OUTCOMES.setdefault(test.id(), "passed")

    def addError(self, test: unittest.TestCase, err: Any) -> None:  # noqa: N802 (unittest's name)
        """Record a test that raised, or a class that could not be set up."""
        super().addError(test, err)
        OUTCOMES[test.id()] = "failed"

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:  # noqa: N802 (unittest's name)
        """Record an assertion that did not hold."""
        super().addFailure(test, err)
        OUTCOMES[test.id()] = "failed"

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any) -> None:  # noqa: N802 (unittest's name)
        """Record the failure of a part of a test."""
        super().addSubTest(test, subtest, err)
        if err is not None:
            OUTCOMES[test.id()] = "failed"

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:  # noqa: N802 (unittest's name)
        """Record a test that was not run."""
        super().addSkip(test, reason)
        OUTCOMES[test.id()] = "skipped"

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:  # noqa: N802 (unittest's name)
        """Record that a test passed which Django marks as failing."""
        super().addUnexpectedSuccess(test)
        OUTCOMES[test.id()] = "failed"


class Runner(DiscoverRunner):
    """Runs the tests one after the other, in one process."""

    def get_resultclass(self) -> type[unittest.TextTestResult]:
        """Use `Result`."""
        return Result

    def suite_result(self, suite: Any, result: Any, **options: Any) -> int:
        """Write the outcomes to the file."""
        Path(os.environ["UPSTREAM_RESULTS"]).write_text(json.dumps(OUTCOMES), "utf-8")
        return super().suite_result(suite, result, **options)
