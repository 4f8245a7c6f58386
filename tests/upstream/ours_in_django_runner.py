"""The test runner of Django's own tests: they find our sessions and signers under the names of Django's.

Writes what became of each test to the file that DPM_RESULTS names.
"""

from __future__ import annotations

import json
import os
import unittest
from pathlib import Path
from typing import Any

import django.contrib.sessions.backends.signed_cookies
import django.contrib.sessions.middleware
import django.core.signing
from django.conf import settings
from django.test.runner import DiscoverRunner
from rings import new_ring  # type: ignore[import-not-found]  # beside this file, where it runs

from dpmiddleware.django.sessions import SessionMiddleware, SessionStore
from dpmiddleware.django.signing import ProtectedSigner, dumps, loads

__all__ = ["Runner"]


class Result(unittest.TextTestResult):
    """Remembers every test by its name."""

    def startTest(self, test: unittest.TestCase) -> None:  # noqa: N802 (unittest's name)
        """Each test begins at a time of its own, on a ring of its own."""
        settings.DATA_PROTECTION = new_ring()
        super().startTest(test)
        OUTCOMES.setdefault(test.id(), "passed")

    def addError(self, test: unittest.TestCase, err: Any) -> None:  # noqa: N802 (unittest's name)
        """A test that raised, or a class that could not be set up."""
        super().addError(test, err)
        OUTCOMES[test.id()] = "failed"

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:  # noqa: N802 (unittest's name)
        """An assertion did not hold."""
        super().addFailure(test, err)
        OUTCOMES[test.id()] = "failed"

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any) -> None:  # noqa: N802 (unittest's name)
        """Part of a test."""
        super().addSubTest(test, subtest, err)
        if err is not None:
            OUTCOMES[test.id()] = "failed"

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:  # noqa: N802 (unittest's name)
        """Not run."""
        super().addSkip(test, reason)
        OUTCOMES[test.id()] = "skipped"

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:  # noqa: N802 (unittest's name)
        """Django's own fails this test."""
        super().addUnexpectedSuccess(test)
        OUTCOMES[test.id()] = "failed"


OUTCOMES: dict[str, str] = {}


class Runner(DiscoverRunner):
    """Runs them one after the other, in one process."""

    def get_resultclass(self) -> type[unittest.TextTestResult]:
        """See `Result`."""
        return Result

    def suite_result(self, suite: Any, result: Any, **options: Any) -> int:
        """Write them down."""
        Path(os.environ["DPM_RESULTS"]).write_text(json.dumps(OUTCOMES), "utf-8")
        return super().suite_result(suite, result, **options)


for _module, _name, _ours in (
    (django.contrib.sessions.backends.signed_cookies, "SessionStore", SessionStore),
    (django.contrib.sessions.middleware, "SessionMiddleware", SessionMiddleware),
    (django.core.signing, "Signer", ProtectedSigner),
    (django.core.signing, "TimestampSigner", ProtectedSigner),
    (django.core.signing, "dumps", dumps),
    (django.core.signing, "loads", loads),
):
    setattr(_module, _name, _ours)
