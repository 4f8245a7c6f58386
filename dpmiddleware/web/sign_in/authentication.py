"""Cookie authentication as ASP.NET Core does it: sign in, sign out, authenticate, renew, challenge, forbid.

Written without I/O (see `dpmiddleware.web.sign_in.steps`): what a step needs (a ticket from the store, an event of the
application) it yields as a `Call`, and is sent the answer.

What the application says (`sign_in`, `sign_out`, `challenge`, `forbid`) is noted and done when the response starts:
so nothing in between has to wait, and the last word counts. A ticket is read when somebody looks at the user; a
request in which nobody does costs nothing and renews nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final, NamedTuple, Protocol

from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import ConfigurationError, KeyManagementError
from dpmiddleware.web.caching import Headers, RawHeaders, encoded, with_cookies, with_cookies_raw
from dpmiddleware.web.sign_in import redirects
from dpmiddleware.web.sign_in.claims import Principal
from dpmiddleware.web.sign_in.events import (
    CookieAuthenticationEvents,
    SignedInContext,
    SigningInContext,
    SigningOutContext,
    SlidingExpirationContext,
    ValidatePrincipalContext,
)
from dpmiddleware.web.sign_in.options import CookieAuthenticationOptions
from dpmiddleware.web.sign_in.return_urls import WebRequest, is_local
from dpmiddleware.web.sign_in.steps import Call, Steps, drive
from dpmiddleware.web.sign_in.ticket import AuthenticationProperties, Ticket
from dpmiddleware.web.sign_in.ticket_cookie import ReadTicket, TicketCookie

__all__ = [
    "AUTHENTICATION_KEY",
    "PRINCIPAL_KEY",
    "AuthenticateResult",
    "BoundSession",
    "CookieAuthentication",
    "CookieAuthenticator",
    "Outcome",
]

AUTHENTICATION_KEY: Final = "dpmiddleware.authentication"
"""Where shells put a request's `CookieAuthentication` (environ, scope)."""
PRINCIPAL_KEY: Final = "dpmiddleware.principal"
"""Where shells put the request's user, a `Principal` that is read at first use."""

_NOBODY: Final = Principal()
_NO_CACHE: Final = {
    "cache-control": "no-cache,no-store",
    "pragma": "no-cache",
    "expires": "Thu, 01 Jan 1970 00:00:00 GMT",
}
_NO_CACHE_RAW_ITEMS: Final = encoded([*_NO_CACHE.items()])
_NO_CACHE_RAW: Final = {name for name, _ in _NO_CACHE_RAW_ITEMS}


class AuthenticateResult(NamedTuple):
    """What a request's cookie said: a ticket, nothing (no cookie), or why it does not count."""

    ticket: Ticket | None = None
    failure: str | None = None

    @property
    def succeeded(self) -> bool:
        """Whether there is a ticket that counts."""
        return self.ticket is not None


class BoundSession(Protocol):
    """The session that goes with a sign-in; `dpmiddleware.web.sessions.session.Session` is one."""

    def bind(self, owner: Callable[[], str | None]) -> None:
        """From now on show this request's user (``owner`` tells their subject) no session of somebody else."""
        ...

    def renew(self, subject: str | None = None) -> None:
        """Somebody signed in."""
        ...

    def empty(self) -> None:
        """Somebody signed out."""
        ...


class Outcome(NamedTuple):
    """What to answer. replaces_body: the response is a redirect now, and what the application wrote does not count."""

    status: int
    headers: Headers
    replaces_body: bool = False


class _Asked(NamedTuple):
    """One call of ``sign_in`` (with a principal), ``sign_out``, ``challenge`` or ``forbid``."""

    what: str
    properties: AuthenticationProperties
    principal: Principal = Principal()
    endpoint: object = None


class CookieAuthenticator:
    """Cookie authentication of one application; makes a `CookieAuthentication` for each request."""

    def __init__(self, data_protection: DataProtection, options: CookieAuthenticationOptions | None = None) -> None:
        self.options = options or CookieAuthenticationOptions()
        self.cookie = TicketCookie(data_protection, self.options)
        self.has_store = self.options.store is not None
        self.now = (self.options.clock or data_protection.clock).now

    def begin(self, request: WebRequest) -> CookieAuthentication:
        """Cookie authentication of one request. Nothing is read yet."""
        return CookieAuthentication(self, request.cookies, request.https, lambda: request)

    @property
    def judges(self) -> bool:
        """Whether an event of the application has a say in which tickets count."""
        events = self.options.events
        if not events.__dict__ and type(events) is CookieAuthenticationEvents:  # as most are: seen at a glance
            return False
        return bool(events.handler("validate_principal") or events.handler("check_sliding_expiration"))


class CookieAuthentication:
    """Cookie authentication of one request, in the hands of a shell and of the application. Nothing is read yet.

    describe: says the rest about the request; few ask for it.
    cookies, https: see `WebRequest`. untouched: there is nothing to say in the response (yet, or any more).
    has_more_to_do: something was asked for, or a store has to be waited for: `finish` is due, and not `finish_raw`.
    failure: an outage that was met while reading ahead; whoever then looks at the user meets it too.
    """

    untouched = True
    has_more_to_do = False
    failure: KeyManagementError | None = None
    _request: WebRequest | None = None
    _session: BoundSession | None = None
    _finished = False
    _found: ReadTicket | None = None
    _is_read = False
    _ticket: Ticket | None = None
    _why_not: str | None = None
    _renewal: Ticket | None = None
    _asked: tuple[_Asked, ...] = ()
    _target: str | None = None

    def __init__(
        self, authenticator: CookieAuthenticator, cookies: bytes, https: bool, describe: Callable[[], WebRequest]
    ) -> None:
        self.authenticator = authenticator
        self.cookies = cookies
        self.https = https
        self._describe: Callable[[], WebRequest] | None = describe
        self._now = authenticator.now()
        self._located = authenticator.cookie.locate(cookies)
        self._is_judged = authenticator.judges

    @property
    def request(self) -> WebRequest:
        """The request; of one whose response has started, what matters to its cookies."""
        if self._request is None:
            self._request = self._describe() if self._describe else WebRequest(self.cookies, self.https)
        return self._request

    # --- for the application --------------------------------------------------------------------------------

    @property
    def result(self) -> AuthenticateResult:
        """What the cookie said. `KeyManagementError` where there is no ring, or the store cannot be reached."""
        return AuthenticateResult(self._counting(), self._why_not)

    @property
    def principal(self) -> Principal:
        """Who the user is: as the cookie says, or as this request signed in or out; nobody is ``Principal()``."""
        for asked in reversed(self._asked):
            if asked.what in {"sign_in", "sign_out"}:
                return asked.principal
        ticket = self._counting()
        return _NOBODY if ticket is None else ticket.principal

    @property
    def subject(self) -> str | None:
        """Whose sessions may be read in this request: that of the cookie's user; ``None`` for nobody."""
        ticket = self._counting()
        return None if ticket is None else ticket.principal.subject

    def _counting(self) -> Ticket | None:
        """The ticket that counts, read now if it was not before."""
        self.untouched = False
        if self.failure is not None:
            raise self.failure
        if self._is_read:
            return self._ticket
        try:
            if self._is_judged or self.authenticator.has_store:
                return drive(self.authenticate())
            self._found = self._found or self.authenticator.cookie.read(self.cookies, self._now, self._located)
            return self._accept(*self._found)
        except KeyManagementError as error:
            self.failure = error
            raise

    def sign_in(self, principal: Principal, properties: AuthenticationProperties | None = None) -> None:
        """Sign ``principal`` in when the response starts; from now on they are the user of this request.

        The session gets a new id and loses its CSRF token; somebody else's is emptied.
        """
        if self.authenticator.options.require_authenticated_sign_in and not principal.is_authenticated:
            raise ConfigurationError(
                "a principal who is not authenticated cannot sign in",
                hint="give the first identity an authentication_type, or say require_authenticated_sign_in=False",
            )
        self._ask("sign_in", properties, principal)
        if self._session is not None:
            self._session.renew(principal.subject)

    def sign_out(self, properties: AuthenticationProperties | None = None) -> None:
        """Sign the user out when the response starts: the cookie ends, and the ticket in the session store."""
        self._ask("sign_out", properties)
        if self._session is not None:
            self._session.empty()

    def challenge(self, properties: AuthenticationProperties | None = None, *, endpoint: object = None) -> None:
        """Send the browser to sign in, where the response's status is 401. ``redirect_uri``: where to return to.

        endpoint: the function that serves the request, for its mark (`dpmiddleware.web.sign_in.options.api`).
        """
        self._ask("challenge", properties, endpoint=endpoint)

    def forbid(self, properties: AuthenticationProperties | None = None, *, endpoint: object = None) -> None:
        """Say that the user may not, where the response's status is 403. endpoint: as in `challenge`."""
        self._ask("forbid", properties, endpoint=endpoint)

    def attach(self, session: BoundSession) -> None:
        """The session that goes with this request: it will be the user's own, or nobody's."""
        self._session = session
        session.bind(lambda: self.subject)

    def _ask(
        self,
        what: str,
        properties: AuthenticationProperties | None,
        principal: Principal = Principal(),  # noqa: B008 (nobody; immutable)
        endpoint: object = None,
    ) -> None:
        if self._finished:
            raise ConfigurationError(
                f"{what} was called after the response had started", hint="call it before the first byte is sent"
            )
        self.untouched = False
        self.has_more_to_do = True
        asked = AuthenticationProperties() if properties is None else properties.copy()
        self._asked = (*self._asked, _Asked(what, asked, principal, endpoint))

    # --- reading --------------------------------------------------------------------------------------------

    @property
    def key_ids(self) -> Sequence[bytes]:
        """The key ids that the cookie names in clear: reading the ticket may have to wait for these."""
        return self.authenticator.cookie.key_ids(self.cookies, self._located)

    @property
    def must_read_ahead(self) -> bool:
        """Whether a ticket is there whose reading may wait for a store or an event: not on an event loop, then."""
        return (self._is_judged or self.authenticator.has_store) and self.authenticator.cookie.is_in(self.cookies)

    def authenticate(self) -> Steps[Ticket | None]:
        """Read the ticket, once; slide it; ask the application whether it still counts."""
        if not self._is_read:
            read = yield from self._read()
            if read.ticket is None or not self._is_judged:
                return self._accept(*read)
            self._ticket, self._why_not = yield from self._judge(read.ticket)
            self._is_read = True
        return self._ticket

    def _read(self) -> Steps[ReadTicket]:
        if self._found is None:
            cookie = self.authenticator.cookie
            if self.authenticator.has_store:
                self._found = yield from cookie.read_stored(self.cookies, self._now, self._located)
            else:
                self._found = cookie.read(self.cookies, self._now, self._located)
        return self._found

    def _accept(self, ticket: Ticket | None, failure: str | None, _: str | None) -> Ticket | None:
        """What was read is what counts: no event has a say in it."""
        if ticket is not None:
            times = self._times(ticket.properties)
            if times is not None and times[1] < times[0]:
                self._renew_later(ticket)
        self._is_read, self._ticket, self._why_not = True, ticket, failure
        return ticket

    def _times(self, properties: AuthenticationProperties) -> tuple[timedelta, timedelta] | None:
        """How long ago a ticket was issued, and how long it holds; ``None`` where it does not slide."""
        lifetime = properties.lifetime if self.authenticator.options.sliding_expiration else None
        if lifetime is None or properties.allow_refresh is False:
            return None
        return self._now - lifetime[0], lifetime[1] - self._now

    def _judge(self, ticket: Ticket) -> Steps[AuthenticateResult]:
        """What the application's events make of a ticket that holds."""
        native, times = self.request.native, self._times(ticket.properties)
        if times is not None:
            sliding = SlidingExpirationContext(
                native,
                self._scheme,
                ticket.principal,
                ticket.properties.copy(),
                *times,
                should_renew=times[1] < times[0],
            )
            yield from self._event("check_sliding_expiration", sliding)
            if sliding.should_renew:
                self._renew_later(ticket)
        context = ValidatePrincipalContext(native, self._scheme, ticket.principal, ticket.properties.copy())
        yield from self._event("validate_principal", context)
        if context.principal is None:
            self._renewal = None
            return AuthenticateResult(None, "No principal.")
        ticket = Ticket(self._scheme, context.principal, context.properties)
        if context.should_renew:
            self._renew_later(ticket)
        return AuthenticateResult(ticket)

    def _renew_later(self, ticket: Ticket) -> None:
        """Note a renewal: the ticket's own lifetime again, from now on. One without dates has none to renew."""
        lifetime = ticket.properties.lifetime
        if lifetime is not None:
            renewed = ticket.properties.renewed(self._now, lifetime[1] - lifetime[0])
            self._renewal = Ticket(self._scheme, ticket.principal, renewed)
            self.has_more_to_do = self.has_more_to_do or self.authenticator.has_store

    # --- answering ------------------------------------------------------------------------------------------

    def finish(self, status: int, headers: Headers) -> Steps[Outcome]:
        """What to answer in place of ``status`` and ``headers``; called once, before the response starts.

        `KeyManagementError` where there is no ring or the store cannot be reached, `CookieTooLargeError` where the
        ticket does not fit.
        """
        self._finished = True
        if self.untouched:
            return Outcome(status, headers)
        if self.failure is not None:
            raise self.failure
        lines: list[str] | None = None
        for asked in self._asked:
            if asked.what == "sign_in":
                lines = yield from self._sign_in(asked)
            elif asked.what == "sign_out":
                lines = yield from self._sign_out(asked.properties)
        if lines is None:
            lines = yield from self._renew()
        if lines is not None:
            headers = [header for header in headers if header[0].lower() not in _NO_CACHE]
            headers += _NO_CACHE.items()
        answer = with_cookies(headers, lines or ())
        outcome, redirect = Outcome(status, answer), self._redirect(status)
        if redirect is not None:
            decision = yield from redirects.decide(redirect, self.request, self.authenticator.options, status)
            outcome = Outcome(decision.status, redirects.with_location(answer, decision), decision.status != status)
        self.untouched = True
        self.close()
        return outcome

    def finish_raw(self, headers: RawHeaders) -> RawHeaders:
        """`finish` in ASGI's terms for most responses: the user was looked at and perhaps renewed, nothing else."""
        self._finished = True
        if self.failure is not None:
            raise self.failure
        if self._renewal is None:
            answer = with_cookies_raw(headers, ())
        else:
            kept = [header for header in headers if header[0].lower() not in _NO_CACHE_RAW]
            lines = self._sealed(self._renewal, self._renewal.properties)
            cookies = [(b"set-cookie", line.encode("latin-1")) for line in lines]
            answer = [*with_cookies_raw(kept, ()), *_NO_CACHE_RAW_ITEMS, *cookies]
        self.untouched = True
        self.close()
        return answer

    def close(self) -> None:
        """The response starts, and nothing more can be said in its headers."""
        self._finished = True
        if not self._is_judged:  # an event may ask for the request later
            self._describe = None  # it holds the scope, which holds this: a circle in each request

    def _redirect(self, status: int) -> redirects.Redirect | None:
        """Where this request is to go instead; ``None``: nowhere."""
        asked = {each.what: each for each in self._asked}
        if status == 200 and self._target is not None:
            return redirects.Redirect(redirects.RETURN, self._target, AuthenticationProperties())
        options = self.authenticator.options
        for on, what, event, path in (
            (401, "challenge", "redirect_to_login", options.login_path),
            (403, "forbid", "redirect_to_access_denied", options.access_denied_path),
        ):
            if status == on and what in asked:
                properties = asked[what].properties
                return_url = properties.redirect_uri or self.request.url
                target = self.request.redirect_to(path, options.return_url_parameter, return_url)
                return redirects.Redirect(event, target, properties, asked[what].endpoint)
        return None

    def _sign_in(self, asked: _Asked) -> Steps[list[str]]:
        options, cookie, properties = self.authenticator.options, self.authenticator.cookie, asked.properties
        old = yield from self._read()
        issued = properties.issued_utc
        if issued is None:
            issued = properties.issued_utc = self._now
        if properties.expires_utc is None:
            properties.expires_utc = issued + options.expire_time_span
        context = SigningInContext(self.request.native, self._scheme, asked.principal, properties, cookie.settings)
        yield from self._event("signing_in", context)
        if self._session is not None and context.principal.subject != asked.principal.subject:
            self._session.renew(context.principal.subject)
        properties, ends = context.properties, None
        if properties.is_persistent:
            ends = properties.expires_utc or issued + options.expire_time_span
        ticket = Ticket(self._scheme, context.principal, properties)
        carried, key = yield from cookie.keep(ticket, self._now, old.key)
        self._found = ReadTicket(ticket, key=key)
        lines = cookie.seal(carried, self, context.cookie, ends)
        signed_in = SignedInContext(self.request.native, self._scheme, context.principal, properties)
        yield from self._event("signed_in", signed_in)
        self._aim(properties, options.login_path)
        return lines

    def _sign_out(self, properties: AuthenticationProperties) -> Steps[list[str]]:
        cookie = self.authenticator.cookie
        read = yield from self._read()
        yield from cookie.forget(read.key)
        self._found = ReadTicket()
        context = SigningOutContext(self.request.native, self._scheme, properties, cookie.settings)
        yield from self._event("signing_out", context)
        self._aim(properties, self.authenticator.options.logout_path)
        return cookie.delete(self, context.cookie)

    def _renew(self) -> Steps[list[str] | None]:
        """The renewed cookie; ``None`` where none is due, or the ticket was taken out of the store meanwhile."""
        if self._renewal is None:
            return None
        ticket: Ticket | None = self._renewal
        if self.authenticator.has_store:
            read = yield from self._read()
            ticket = yield from self.authenticator.cookie.renew(self._renewal, self._now, read.key)
        return None if ticket is None else self._sealed(ticket, self._renewal.properties)

    def _sealed(self, carried: Ticket, terms: AuthenticationProperties) -> list[str]:
        """The cookie lines of a renewed ticket, or of the reference to one; ``terms``: the ticket's own."""
        cookie = self.authenticator.cookie
        return cookie.seal(carried, self, cookie.settings, terms.cookie_expires)

    def _aim(self, properties: AuthenticationProperties, path: str) -> None:
        """Where to go after signing in or out: where the application says, else at ``path`` the client's return URL."""
        self._target = properties.redirect_uri or None
        if self._target is None and self.request.is_at(path):
            wanted = self.request.parameter(self.authenticator.options.return_url_parameter)
            self._target = wanted if wanted is not None and is_local(wanted) else None

    # --- events ---------------------------------------------------------------------------------------------

    def _event(self, name: str, context: object) -> Steps[None]:
        handler = self.authenticator.options.events.handler(name)
        if handler is not None:
            yield Call(handler, (context,))

    @property
    def _scheme(self) -> str:
        return self.authenticator.options.scheme
