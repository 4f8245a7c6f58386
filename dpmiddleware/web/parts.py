"""The parts of a request: what this package does in it, as an ordered list under `PARTS_KEY` (environ, scope, META).

Today a part is the session (`RequestSession`), the sign-in (`RequestAuthentication`) or an application's own cookies
(`RequestCookies`). The middleware of each makes the part, joins it to the request, and answers for it in the response.
"""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from typing import Any, Final, TypeVar

from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import ConfigurationError, KeyManagementError
from dpmiddleware.keys import waiting
from dpmiddleware.web.answer import LOOKED_AT, UNCHANGED, Answer, Headers, Part
from dpmiddleware.web.device_bound.request import RequestDevice
from dpmiddleware.web.sessions.cookie import RequestSession
from dpmiddleware.web.sign_in.authentication import CookieAuthenticator, RequestAuthentication
from dpmiddleware.web.steps import Steps, drive

__all__ = ["PARTS_KEY", "finish", "is_outage", "join", "last", "of", "together"]

PARTS_KEY: Final = "dpmiddleware.parts"
"""Where a request carries its parts: a tuple, in the order in which they joined."""

_P = TypeVar("_P")


def of(request: MutableMapping[str, Any]) -> tuple[Part, ...]:
    """The parts that have joined a request (its environ, scope or META) so far."""
    parts: tuple[Part, ...] = request.get(PARTS_KEY, ())
    return parts


def last(request: MutableMapping[str, Any], kind: type[_P]) -> _P | None:
    """The part of this kind that has joined a request last."""
    return next((part for part in reversed(of(request)) if isinstance(part, kind)), None)


def sign_in_of(request: MutableMapping[str, Any], authenticator: CookieAuthenticator) -> RequestAuthentication | None:
    """The part that this authenticator began. That of another authenticator never takes its place."""
    found = (part for part in reversed(of(request)) if isinstance(part, RequestAuthentication))
    return next((part for part in found if part.authenticator is authenticator), None)


def join(request: MutableMapping[str, Any], part: Part, *, binds: bool = True) -> Part:
    """Add ``part`` and its companions to a request; returns what the shell answers for.

    Here the session of a request is bound to its sign-in, whichever of the two joins first.

    binds: ``False`` for a session whose application has a sign-in of its own, which joins later.
    """
    companions = part.companions
    if PARTS_KEY not in request:
        waiting.begin(request)
        request[PARTS_KEY] = (part, *companions) if companions else (part,)
    else:
        if isinstance(part, RequestAuthentication) and part.device is not None:
            _refuse_shared_endpoints(part, part.device, of(request))
        request[PARTS_KEY] = (*request[PARTS_KEY], part, *companions)
        session, authentication = last(request, RequestSession), last(request, RequestAuthentication)
        is_new = part is session or part is authentication
        if binds and is_new and session is not None and authentication is not None:
            _bind(request, session, authentication)
    return _Together(part, *companions) if companions else part


def _refuse_shared_endpoints(part: RequestAuthentication, device: RequestDevice, others: Sequence[Part]) -> None:
    """Two sign-ins with the same endpoints would end each other's sessions in browsers."""
    devices = [other.device for other in others if isinstance(other, RequestAuthentication) and other is not part]
    if any(other is not None and other.endpoints == device.endpoints for other in devices):
        raise ConfigurationError(
            f"two sign-ins have the endpoint {device.endpoints[0]!r} for device binding",
            hint="give one of them a path of its own: device_bound=DeviceBound('require', path='/keys')",
        )


def _bind(request: MutableMapping[str, Any], session: RequestSession, authentication: RequestAuthentication) -> None:
    """Bind a session to a sign-in. What an outer application has bound is not taken over by one with another ring."""
    for other in of(request):
        if isinstance(other, RequestAuthentication) and other.has(session.session):
            if session.cookie.ring is not authentication.authenticator.ring:
                return
            other.detach(session.session)
    authentication.attach(session.session)


def together(part: Part) -> Part:
    """``part`` and its companions as one part."""
    return _Together(part, *part.companions) if part.companions else part


class _Together:
    """Several parts that answer as one, in their order. The first one speaks for them in an outage."""

    companions = ()

    def __init__(self, *parts: Part) -> None:
        self._parts = parts

    @property
    def failure(self) -> KeyManagementError | None:
        return self._parts[0].failure

    @failure.setter
    def failure(self, error: KeyManagementError | None) -> None:
        self._parts[0].failure = error

    @property
    def touched(self) -> bool:
        return any(part.touched for part in self._parts)

    def ahead(self) -> Steps[object] | None:
        return _in_turn([part.ahead() for part in self._parts])

    def work(self, status: int) -> Steps[object] | None:
        return _in_turn([part.work(status) for part in self._parts if part.touched])

    def answer(self, status: int, headers: Headers) -> Answer:
        whole = UNCHANGED
        touched = [part.touched for part in self._parts]  # before the first answers, which may end it
        for part, is_touched in zip(self._parts, touched, strict=True):
            if is_touched:
                whole = whole.then(part.answer(status, whole.applied_to(headers)))
            else:
                part.close()
        return whole

    def close(self) -> None:
        for part in self._parts:
            part.close()


def _in_turn(found: list[Steps[object] | None]) -> Steps[object] | None:
    return _each(found) if any(steps is not None for steps in found) else None


def _each(found: list[Steps[object] | None]) -> Steps[None]:
    for steps in found:
        if steps is not None:
            yield from steps


def is_outage(error: KeyManagementError, request: MutableMapping[str, Any], data_protection: DataProtection) -> bool:
    """Whether ``error`` comes from the ring (or a ticket store); else it is the application's own."""
    return any(part.failure is error for part in of(request)) or not data_protection.health().ready


def finish(part: Part, status: int, headers: Headers) -> Answer:
    """What a part that is touched changes in a response, where waiting is allowed. May raise `KeyManagementError`.

    status, headers: those of the application's response.
    """
    try:
        steps = part.work(status)
        if steps is not None:
            drive(steps)
        return part.answer(status, [header for header in headers if header[0].lower() in LOOKED_AT])
    except KeyManagementError as error:
        part.failure = error
        raise
