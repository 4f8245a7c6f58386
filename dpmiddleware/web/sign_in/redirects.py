"""Redirects of cookie authentication: computed here, changed by the application's events.

==========================  ===============  ===========================================
where to                    a browser        a program
==========================  ===============  ===========================================
the login page              302 + Location   401 + Location
the access-denied page      302 + Location   403 + Location
back, after signing in/out  302 + Location   200 + Location (an API: 302, as a browser)
==========================  ===============  ===========================================

A program is a script's call (``X-Requested-With: XMLHttpRequest``) or an API: a route marked `api`, a request of which
the browser says that it does not go to another page (``Sec-Fetch-Mode`` other than ``navigate``), or one for which
``is_api_request`` is true. `allow_cookie_redirect` on the route overrides all but the first. The Accept header is not
considered.

A user who is signed in, but has to authenticate again, is sent to the login page with the parameter ``prompt=login``,
which is OpenID Connect's. A program gets the reason in the terms of RFC 9470.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final, NamedTuple

from dpmiddleware.web.answer import Answer, Headers
from dpmiddleware.web.sign_in.events import RedirectContext
from dpmiddleware.web.sign_in.options import CookieAuthenticationOptions, is_api
from dpmiddleware.web.sign_in.properties import AuthenticationProperties
from dpmiddleware.web.sign_in.return_urls import WebRequest, location
from dpmiddleware.web.steps import Call, Steps

__all__ = ["AGAIN", "RETURN", "Decision", "Redirect", "answer", "decide"]

RETURN: Final = "redirect_to_return_url"
"""The event of going back after signing in or out."""
AGAIN: Final = "&prompt=login"
"""What is added to the URL of the login page for a user who has to authenticate again."""


class Redirect(NamedTuple):
    """A redirect that is due.

    event: the name of the event that may change it.
    target: where to.
    properties: those of the verb that caused it.
    endpoint: the function that serves the request, for its mark.
    max_age: how long ago the user may have authenticated; ``None``: they are not signed in.
    """

    event: str
    target: str
    properties: AuthenticationProperties
    endpoint: object = None
    max_age: timedelta | None = None


class Decision(NamedTuple):
    """Status, ``Location`` and ``WWW-Authenticate`` of the response."""

    status: int
    location: str | None
    reason: str | None = None


def decide(
    redirect: Redirect, request: WebRequest, options: CookieAuthenticationOptions, status: int
) -> Steps[Decision]:
    """Redirect a browser; keep ``status`` for a program. Then call the application's event."""
    is_program = request.is_ajax
    if redirect.event != RETURN and not is_program:
        is_program = yield from _is_api(request, options, redirect.endpoint)
    wanted = status if is_program else 302
    context = RedirectContext(
        request.native,
        options.scheme,
        redirect.properties,
        redirect.target,
        wanted,
        is_api=is_program,
        max_age=redirect.max_age,
    )
    yield from options.events.call(redirect.event, context)
    decided = status if context.status is None else context.status
    reason = _reason(redirect.max_age) if redirect.max_age is not None and decided == 401 else None
    return Decision(decided, context.redirect_uri, reason)


def _reason(max_age: timedelta) -> str:
    """Why a user who is signed in gets 401, in the terms of RFC 9470, section 3."""
    seconds = int(max_age.total_seconds())
    return f'Cookie error="insufficient_user_authentication", max_age="{seconds}"'


def answer(decision: Decision, status: int) -> Answer:
    """The decision as headers. If it changes the response's ``status``, it also removes the body."""
    added: Headers = [] if decision.location is None else [("location", location(decision.location))]
    if decision.reason is not None:
        added.append(("www-authenticate", decision.reason))
    dropped = frozenset(name for name, _ in added)
    if decision.status == status:
        return Answer(added, dropped)
    return Answer([*added, ("content-length", "0")], dropped, decision.status, b"")


def _is_api(request: WebRequest, options: CookieAuthenticationOptions, endpoint: object) -> Steps[bool]:
    mark = is_api(endpoint)
    if mark is not None:
        return mark
    if request.is_fetch or options.is_api_request is None:
        return request.is_fetch
    result = yield Call(options.is_api_request, (request.native,))
    return bool(result)
