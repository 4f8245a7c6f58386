"""The test runner of Django's own tests: they find our sessions and signers under the names of Django's."""

from __future__ import annotations

import unittest

import django.contrib.sessions.backends.signed_cookies
import django.contrib.sessions.middleware
import django.core.signing
import recording_runner  # type: ignore[import-not-found]  # in this folder, which is on the path
from django.conf import settings
from rings import new_ring  # type: ignore[import-not-found]  # likewise

from dpmiddleware.django.sessions import SessionMiddleware, SessionStore
from dpmiddleware.django.signing import ProtectedSigner, dumps, loads

__all__ = ["Runner"]


class Result(recording_runner.Result):  # type: ignore[misc]  # see the import
    """Creates a ring for each test: each begins at a time of its own."""

    def startTest(self, test: unittest.TestCase) -> None:  # noqa: N802 (unittest's name)
        """Create the ring, then record the test."""
        settings.DATA_PROTECTION = new_ring()
        super().startTest(test)


class Runner(recording_runner.Runner):  # type: ignore[misc]  # see the import
    """Records the outcomes, with a ring for each test."""

    def get_resultclass(self) -> type[unittest.TextTestResult]:
        """Use `Result`."""
        return Result


for _module, _name, _ours in (
    (django.contrib.sessions.backends.signed_cookies, "SessionStore", SessionStore),
    (django.contrib.sessions.middleware, "SessionMiddleware", SessionMiddleware),
    (django.core.signing, "Signer", ProtectedSigner),
    (django.core.signing, "TimestampSigner", ProtectedSigner),
    (django.core.signing, "dumps", dumps),
    (django.core.signing, "loads", loads),
):
    setattr(_module, _name, _ours)
