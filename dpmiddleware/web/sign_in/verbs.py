"""`Verbs`: what an application asks about the user of a request, and what it asks to be done.

What is to be done is noted, and done when the response starts (see `finishing`).

A sign-in is *fresh* for some time after the user authenticated: after `Verbs.sign_in` or `Verbs.reauthenticate`. No
renewal makes it fresh again. A copied cookie is therefore not enough for what `Verbs.require_fresh` guards.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple

from dpmiddleware.arguments import checked
from dpmiddleware.errors import ConfigurationError
from dpmiddleware.web.sign_in.claims import Principal
from dpmiddleware.web.sign_in.finishing import Asked, BoundSession
from dpmiddleware.web.sign_in.options import CookieAuthenticationOptions
from dpmiddleware.web.sign_in.properties import AuthenticationProperties
from dpmiddleware.web.sign_in.ticket import Ticket

__all__ = ["AuthenticateResult", "FreshSignInRequired", "Verbs", "age_of"]

_ANONYMOUS: Final = Principal()
_MOST_MINUTES: Final = 60 * 24 * 366
_EARLY: Final = "call it before the first byte is sent"


class AuthenticateResult(NamedTuple):
    """What the cookie of a request said: a ticket; nothing (there is no cookie); or why the ticket does not count."""

    ticket: Ticket | None = None
    failure: str | None = None

    @property
    def succeeded(self) -> bool:
        """Whether there is a ticket that counts."""
        return self.ticket is not None


class FreshSignInRequired(Exception):  # noqa: N818 (part of normal operation: the middleware answers with a challenge)
    """The user has to authenticate again. The challenge is noted already, and takes effect if the status is 401."""


def age_of(minutes: float) -> timedelta:
    """The ``max_age`` of so many minutes. `ConfigurationError` if no sign-in could be that fresh."""
    if not 0 < minutes < _MOST_MINUTES:
        raise ConfigurationError(
            f"minutes={minutes!r} is not a time within which a user can authenticate", hint="use minutes=5, for example"
        )
    return timedelta(minutes=minutes)


class Verbs:
    """What an application calls in one request. `dpmiddleware.web.sign_in.authentication` reads and answers."""

    now: datetime
    touched: bool = False
    _sessions: tuple[BoundSession, ...] = ()
    _asked: tuple[Asked, ...] = ()
    _is_closed: bool = False

    @property
    def options(self) -> CookieAuthenticationOptions:
        """Those of the application."""
        raise NotImplementedError

    @property
    def result(self) -> AuthenticateResult:
        """What the cookie said. `KeyManagementError` if there is no ring, or the session store cannot be reached."""
        raise NotImplementedError

    def authenticate(self) -> AuthenticateResult:
        """What the cookie said: `result` as a verb, as in the frameworks."""
        return self.result

    @property
    def principal(self) -> Principal:
        """The user: as the cookie says, or as this request signed in or out; ``Principal()`` if anonymous."""
        changed = self._changed if self._asked else None
        if changed is not None:
            return changed.principal
        ticket = self.result.ticket
        return _ANONYMOUS if ticket is None else ticket.principal

    @property
    def authenticated_at(self) -> datetime | None:
        """When the user authenticated; ``None`` if anonymous, or if the ticket does not say it."""
        changed = self._changed
        if changed is not None and changed.verb == "sign_out":
            return None
        if changed is not None:
            return changed.properties.authenticated_utc or self.now
        ticket = self.result.ticket
        return None if ticket is None else ticket.authenticated_at

    @checked
    def is_fresh(self, max_age: timedelta) -> bool:
        """Whether the user is signed in, and authenticated not longer ago than ``max_age``."""
        moment = self.authenticated_at
        return moment is not None and self.now - moment <= max_age and self.principal.is_authenticated

    @checked
    def require_fresh(self, max_age: timedelta, *, endpoint: object = None) -> None:
        """Raise `FreshSignInRequired` unless the user authenticated within ``max_age``; the middleware challenges them.

        endpoint: see `challenge`.
        """
        if not self.admit(max_age, endpoint=endpoint):
            raise FreshSignInRequired

    def admit(self, max_age: timedelta | None = None, *, endpoint: object = None) -> bool:
        """Whether the user is signed in and, if ``max_age`` is given, fresh; otherwise challenge them."""
        is_in = self.principal.is_authenticated if max_age is None else self.is_fresh(max_age)
        if not is_in:
            self.challenge(endpoint=endpoint, max_age=max_age)
        return is_in

    @checked
    def sign_in(self, principal: Principal, properties: AuthenticationProperties | None = None) -> None:
        """Sign ``principal`` in when the response starts; from now on they are the user of this request.

        The session gets a new id and loses its CSRF token; another user's session is emptied.
        """
        principal = principal.itself
        if self.options.require_authenticated_sign_in and not principal.is_authenticated:
            raise ConfigurationError(
                "a principal that is not authenticated cannot sign in",
                hint="give its first identity an authentication_type, or set require_authenticated_sign_in=False",
            )
        self._ask("sign_in", properties, principal)
        for session in self._sessions:
            session.renew(principal.subject)

    def reauthenticate(self) -> None:
        """Make the user's sign-in fresh when the response starts. Call it after checking the password or passkey again.

        Cookie and ticket are new, the session stays. `ConfigurationError` if nobody is signed in.
        """
        changed = self._changed
        ticket = self.result.ticket if changed is None else changed.ticket
        if changed is not None and changed.verb == "sign_in":
            return  # fresh already
        if ticket is None:
            raise ConfigurationError("reauthenticate was called, but nobody is signed in", hint="call sign_in instead")
        properties = AuthenticationProperties(authenticated_utc=self.now)
        self._note(Asked("reauthenticate", properties, ticket.principal, ticket=ticket))

    @checked
    def sign_out(self, properties: AuthenticationProperties | None = None) -> None:
        """Sign the user out when the response starts: delete the cookie, and the ticket in the session store."""
        self._ask("sign_out", properties)
        for session in self._sessions:
            session.empty()

    @checked
    def challenge(
        self,
        properties: AuthenticationProperties | None = None,
        *,
        endpoint: object = None,
        max_age: timedelta | None = None,
    ) -> None:
        """Send the browser to the login page if the response's status is 401.

        properties: ``redirect_uri`` says where to return to.
        endpoint: the function that serves the request, for its mark (see `dpmiddleware.web.sign_in.options.api`).
        max_age: how long ago a user may have authenticated; one who is signed in is asked to do it again.
        """
        if max_age is not None and not self.principal.is_authenticated:
            max_age = None
        self._ask("challenge", properties, endpoint=endpoint, max_age=max_age)

    @checked
    def forbid(self, properties: AuthenticationProperties | None = None, *, endpoint: object = None) -> None:
        """Send the browser to the access-denied page if the response's status is 403. Arguments: see `challenge`."""
        self._ask("forbid", properties, endpoint=endpoint)

    @property
    def _changed(self) -> Asked | None:
        """What this request last did to the user's sign-in."""
        for asked in reversed(self._asked):
            if asked.verb in {"sign_in", "sign_out", "reauthenticate"}:
                return asked
        return None

    def _ask(
        self,
        verb: Literal["sign_in", "sign_out", "challenge", "forbid"],
        properties: AuthenticationProperties | None,
        principal: Principal = _ANONYMOUS,
        endpoint: object = None,
        max_age: timedelta | None = None,
    ) -> None:
        asked = AuthenticationProperties() if properties is None else properties.copy()
        self._note(Asked(verb, asked, principal, endpoint, max_age))

    def _note(self, asked: Asked) -> None:
        if self._is_closed:
            raise ConfigurationError(f"{asked.verb} was called after the response had started", hint=_EARLY)
        self.touched = True
        self._asked = (*self._asked, asked)
