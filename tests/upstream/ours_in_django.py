"""Settings for Django's ``runtests.py``, which reads them before anything of Django is set up."""

from __future__ import annotations

from rings import new_ring  # type: ignore[import-not-found]  # beside this file, where it runs
from test_sqlite import *  # type: ignore[import-not-found]  # noqa: F403 (the settings that Django's tests come with)

DATA_PROTECTION = new_ring()
SESSION_ENGINE = "dpmiddleware.django.sessions"
SIGNING_BACKEND = "dpmiddleware.django.signing.ProtectedSigner"
TEST_RUNNER = "ours_in_django_runner.Runner"
