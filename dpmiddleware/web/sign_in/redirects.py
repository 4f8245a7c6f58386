"""Redirects of cookie authentication: decided here, with the application's say.

==========================  ===============  =======================================================================
where to                    a browser        a program (a script's call; for the first two also an API)
==========================  ===============  =======================================================================
the login page              302 + Location   401 + Location
the access-denied page      302 + Location   403 + Location
back, after signing in/out  302 + Location   200 + Location
==========================  ===============  =======================================================================

An API is a route marked `api`, or what ``is_api_request`` says; what a client accepts is not asked.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from dpmiddleware.web.caching import Headers
from dpmiddleware.web.sign_in.events import RedirectContext
from dpmiddleware.web.sign_in.options import CookieAuthenticationOptions, is_api
from dpmiddleware.web.sign_in.properties import AuthenticationProperties
from dpmiddleware.web.sign_in.return_urls import WebRequest, location
from dpmiddleware.web.sign_in.steps import Call, Steps

__all__ = ["RETURN", "Decision", "Redirect", "decide", "with_location", "without_body"]

RETURN: Final = "redirect_to_return_url"
"""The event of going back after signing in or out."""


class Redirect(NamedTuple):
    """A wish to redirect. event: the name of the event that may change it. endpoint: the function of the route."""

    event: str
    target: str
    properties: AuthenticationProperties
    endpoint: object = None


class Decision(NamedTuple):
    """What came of it."""

    status: int
    location: str | None


def decide(
    redirect: Redirect, request: WebRequest, options: CookieAuthenticationOptions, status: int
) -> Steps[Decision]:
    """Redirect, or leave ``status`` as it is because a program asks; then the application's event."""
    is_call = request.is_ajax
    if redirect.event != RETURN and not is_call:
        is_call = yield from _is_api(request, options, redirect.endpoint)
    wanted = status if is_call else 302
    context = RedirectContext(
        request.native, options.scheme, redirect.properties, redirect.target, wanted, is_api=is_call
    )
    handler = options.events.handler(redirect.event)
    if handler is not None:
        yield Call(handler, (context,))
    return Decision(status if context.status is None else context.status, context.redirect_uri)


def with_location(headers: Headers, decision: Decision) -> Headers:
    """The headers with the decision's ``Location``, fit for a header."""
    if decision.location is None:
        return headers
    kept = [header for header in headers if header[0].lower() != "location"]
    return [*kept, ("location", location(decision.location))]


def without_body(headers: Headers) -> Headers:
    """The headers of a redirect in the place of what the application answered: nothing about its body."""
    kept = [header for header in headers if not header[0].lower().startswith(("content-", "etag", "last-modified"))]
    return [*kept, ("content-length", "0")]


def _is_api(request: WebRequest, options: CookieAuthenticationOptions, endpoint: object) -> Steps[bool]:
    mark = is_api(endpoint)
    if mark is not None or options.is_api_request is None:
        return bool(mark)
    answer = yield Call(options.is_api_request, (request.native,))
    return bool(answer)
