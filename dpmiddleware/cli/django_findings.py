"""What ``manage.py check`` and ``manage.py check --deploy`` say of our settings, as findings of ``dpm check``.

So both say the same. What `dpmiddleware.cli.check` says itself, by looking at the ring, is not said again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from django.conf import settings
from django.core.checks import ERROR
from django.http import HttpResponse

from dpmiddleware.cli.finding import Finding
from dpmiddleware.cli.server_limits import findings_of_limits
from dpmiddleware.django.apps import ENGINE, check_settings, middleware_of, report_findings
from dpmiddleware.django.authentication import CookieAuthenticationMiddleware
from dpmiddleware.django.checks import check_requests
from dpmiddleware.django.session_cookie import session_cookie
from dpmiddleware.errors import ConfigurationError

__all__ = ["findings_of_settings"]

SAID_BY_CHECK: Final = {"dpmiddleware.W001": "keys_in_memory", "dpmiddleware.W002": "no_key_wrapper"}
"""The number of a warning, and the code that `dpmiddleware.cli.check` has for the same."""
_LOSSES: Final = {"dpmiddleware.W003"}
"""Warnings of something that does not work; the others are for an operator to decide."""


def findings_of_settings() -> Iterator[Finding]:
    """The messages of the checks that do not read the ring."""
    for message in (*check_settings(), *check_requests(), *report_findings()):
        number = message.id or ""
        if number not in SAID_BY_CHECK:
            is_problem = message.level >= ERROR or number in _LOSSES
            yield Finding(number, "problem" if is_problem else "note", message.msg, message.hint or "")
    with suppress(ConfigurationError):  # has been said above
        yield from findings_of_limits(list(_budgets()))


def _budgets() -> Iterator[int]:
    """How many bytes of Cookie header the session and the sign-in allow."""
    if settings.SESSION_ENGINE == ENGINE:
        yield session_cookie().protected.settings.max_total
    for kind in middleware_of(CookieAuthenticationMiddleware):
        yield kind(lambda _: HttpResponse()).authenticator.cookie.settings.max_total
