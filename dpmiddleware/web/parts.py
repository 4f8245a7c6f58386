"""The parts of a request: what this package does in it, as an ordered list under `PARTS_KEY` (environ, scope, META).

Today a part is the session (`RequestSession`), the sign-in (`RequestAuthentication`) or an application's own cookies
(`RequestCookies`). The middleware of each makes the part, joins it to the request, and answers for it in the response.
"""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from typing import Any, Final, TypeVar

from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import KeyManagementError
from dpmiddleware.web.answer import LOOKED_AT, UNCHANGED, Answer, Headers, Part
from dpmiddleware.web.sessions.cookie import RequestSession
from dpmiddleware.web.sign_in.authentication import CookieAuthenticator, RequestAuthentication
from dpmiddleware.web.steps import Steps, drive

__all__ = ["PARTS_KEY", "answer", "finish", "is_outage", "join", "last", "of", "touched", "work"]

PARTS_KEY: Final = "dpmiddleware.parts"
"""Where a request carries its parts: a tuple, in the order in which they joined."""

_P = TypeVar("_P")


def of(request: MutableMapping[str, Any]) -> tuple[Part, ...]:
    """The parts that have joined a request (its environ, scope or META) so far."""
    parts: tuple[Part, ...] = request.get(PARTS_KEY, ())
    return parts


def join(request: MutableMapping[str, Any], part: Part, *, binds: bool = True) -> tuple[Part, ...]:
    """Add ``part`` and its companions to a request; returns them.

    Here the session of a request is bound to its sign-in, whichever of the two joins first.

    binds: ``False`` for a session whose application has a sign-in of its own, which joins later.
    """
    before, companions = request.get(PARTS_KEY), part.companions
    mine = (part, *companions) if companions else (part,)
    if before is None:
        request[PARTS_KEY] = mine
        return mine
    request[PARTS_KEY] = (*before, *mine)
    session, authentication = last(request, RequestSession), last(request, RequestAuthentication)
    if binds and session is not None and authentication is not None and (part is session or part is authentication):
        _bind(request, session, authentication)
    return mine


def _bind(request: MutableMapping[str, Any], session: RequestSession, authentication: RequestAuthentication) -> None:
    """Bind a session to a sign-in. What an outer application has bound is not taken over by one with another ring."""
    for other in of(request):
        if isinstance(other, RequestAuthentication) and other.has(session.session):
            if session.cookie.ring is not authentication.authenticator.ring:
                return
            other.detach(session.session)
    authentication.attach(session.session)


def sign_in_of(request: MutableMapping[str, Any], authenticator: CookieAuthenticator) -> RequestAuthentication | None:
    """The part that this authenticator began. That of another authenticator never takes its place."""
    found = (part for part in reversed(of(request)) if isinstance(part, RequestAuthentication))
    return next((part for part in found if part.authenticator is authenticator), None)


def last(request: MutableMapping[str, Any], kind: type[_P]) -> _P | None:
    """The part of this kind that has joined a request last."""
    return next((part for part in reversed(of(request)) if isinstance(part, kind)), None)


def is_outage(error: KeyManagementError, parts: Sequence[Part], data_protection: DataProtection) -> bool:
    """Whether ``error`` comes from the ring (or a ticket store); else it is the application's own."""
    return any(part.failure is error for part in parts) or not data_protection.health().ready


def touched(mine: Sequence[Part]) -> list[Part]:
    """Those of these parts that change the response, which is about to start. The others are closed."""
    found: list[Part] = []
    for part in mine:
        if part.touched:
            found.append(part)
        else:
            part.close()
    return found


def work(touched: Sequence[Part], status: int) -> Steps[None] | None:
    """What parts have to wait for before `answer`; ``None``: nothing."""
    for number, part in enumerate(touched):
        steps = part.work(status)
        if steps is not None:
            return _work(part, steps, work(touched[number + 1 :], status))
    return None


def _work(part: Part, steps: Steps[None], others: Steps[None] | None) -> Steps[None]:
    try:
        yield from steps
    except KeyManagementError as error:
        part.failure = error
        raise
    if others is not None:
        yield from others


def answer(touched: Sequence[Part], status: int, headers: Headers) -> Answer:
    """What parts change in a response, just before it starts. May raise `KeyManagementError`.

    touched: the parts that change it.
    status: that of the application's response.
    headers: those of the application's response that are named in `LOOKED_AT`.
    """
    whole = UNCHANGED
    for part in touched:
        try:
            one = part.answer(status, headers if whole is UNCHANGED else whole.applied_to(headers))
        except KeyManagementError as error:
            part.failure = error
            raise
        whole = one if whole is UNCHANGED else whole.then(one)
    return whole


def finish(touched: Sequence[Part], status: int, headers: Headers) -> Answer:
    """`work` and `answer`, where waiting is allowed. ``headers``: all those of the response."""
    steps = work(touched, status)
    if steps is not None:
        drive(steps)
    return answer(touched, status, [header for header in headers if header[0].lower() in LOOKED_AT])
