"""Settings for Django's own test runner (``runtests.py --settings ours_in_django``): sessions and signing are ours.

Importing this puts our engine where Django's tests find the one for signed cookies, and our middleware in place of
theirs; both names are looked up when the test modules are imported, which is later.
"""

from __future__ import annotations

import logging
import time
from datetime import datetime, timezone

from test_sqlite import *  # type: ignore[import-not-found]  # noqa: F403 (beside Django's tests)

from dpmiddleware.data_protection import DataProtection


class FreezableClock:
    """The clock that Django's tests stop: ``time.time``."""

    def now(self) -> datetime:
        return datetime.fromtimestamp(time.time(), timezone.utc)

    def monotonic(self) -> float:
        return time.monotonic()


logging.getLogger("dpmiddleware").addHandler(logging.NullHandler())  # the runner's lines are read, and stay whole
DATA_PROTECTION = DataProtection("django's tests", repository="memory:", key_wrapper="plain:", clock=FreezableClock())
SIGNING_BACKEND = "dpmiddleware.django.signing.ProtectedSigner"
