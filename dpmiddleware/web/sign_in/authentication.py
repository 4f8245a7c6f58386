"""Cookie authentication as ASP.NET Core does it: `CookieAuthenticator` for an application, `RequestAuthentication` for
each of its requests.

The verbs (see `verbs`) are noted and done when the response starts, so that nothing in between has to wait and the last
call counts (see `finishing`). A ticket is read when the application looks at the user; a request in which it does not
costs nothing and renews nothing. There is no I/O here (see `dpmiddleware.web.steps`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import KeyManagementError
from dpmiddleware.web.answer import Answer, Headers, Part, clears, depends_on_cookies, never_stored, not_stored
from dpmiddleware.web.cookies import budget
from dpmiddleware.web.cookies.text import MAX_HEADER, bounded
from dpmiddleware.web.device_bound.request import RequestDevice
from dpmiddleware.web.device_bound.service import DeviceBinding
from dpmiddleware.web.sign_in import records, redirects, validity
from dpmiddleware.web.sign_in.finishing import BoundSession, Finishing
from dpmiddleware.web.sign_in.options import CookieAuthenticationOptions
from dpmiddleware.web.sign_in.return_urls import WebRequest
from dpmiddleware.web.sign_in.ticket import Ticket
from dpmiddleware.web.sign_in.ticket_cookie import ReadTicket, TicketCookie
from dpmiddleware.web.sign_in.verbs import AuthenticateResult, Verbs
from dpmiddleware.web.steps import Steps, drive

__all__ = [
    "AUTHENTICATION_KEY",
    "PRINCIPAL_KEY",
    "AuthenticateResult",
    "CookieAuthenticator",
    "RequestAuthentication",
]

AUTHENTICATION_KEY: Final = "dpmiddleware.authentication"
"""Where shells put a request's `RequestAuthentication` (environ, scope)."""
PRINCIPAL_KEY: Final = "dpmiddleware.principal"
"""Where shells put the user of a request, a `Principal` that is read at first use."""


class CookieAuthenticator:
    """Cookie authentication of one application; makes a `RequestAuthentication` for each request."""

    def __init__(self, data_protection: DataProtection, options: CookieAuthenticationOptions | None = None) -> None:
        self.ring = data_protection.provider
        self.options = options or CookieAuthenticationOptions()
        self.cookie = TicketCookie(data_protection, self.options)
        self.has_store = self.options.store is not None
        self.now = (self.options.clock or data_protection.clock).now
        bound = self.options.binding
        self.binding = (
            None if bound is None else DeviceBinding(data_protection, bound, self.options, self.cookie, self.now)
        )
        self.companions: tuple[Callable[[RequestAuthentication], Part], ...] = ()
        """Make further parts of each request, which go with its sign-in; register them here."""

    def begin(self, request: WebRequest) -> RequestAuthentication:
        """Cookie authentication of one request. Nothing is read yet."""
        return RequestAuthentication(self, request.cookies, request.https, lambda: request)


class RequestAuthentication(Verbs):
    """Cookie authentication of one request: a part of it (see `dpmiddleware.web.answer.Part`). Nothing is read yet.

    authenticator: that of the application.
    cookies, https: see `WebRequest`.
    describe: returns the whole request; called only if something asks for more than its cookies.
    """

    failure: KeyManagementError | None = None
    _request: WebRequest | None = None
    _read: ReadTicket | None = None
    _result: AuthenticateResult | None = None
    _renewal: Ticket | None = None
    _finishing: Finishing | None = None
    device: RequestDevice | None = None
    """Device binding in this request, if the application has it."""

    def __init__(
        self, authenticator: CookieAuthenticator, cookies: bytes, https: bool, describe: Callable[[], WebRequest]
    ) -> None:
        self.authenticator = authenticator
        if len(cookies) > MAX_HEADER:
            cookies = bounded(cookies)
        self.cookies = cookies
        self.https = https
        self._describe: Callable[[], WebRequest] | None = describe
        self.now = authenticator.now()
        self._located = authenticator.cookie.locate(cookies)
        self._is_judged = authenticator.options.events.judges
        self._may_wait = self._is_judged or authenticator.has_store  # for a store or an event
        if authenticator.binding is not None:
            self.device = RequestDevice(authenticator.binding, self)
        companions = authenticator.companions
        self.companions = tuple(make(self) for make in companions) if companions else ()

    @property
    def request(self) -> WebRequest:
        """The request. After its response has started: what matters to its cookies."""
        if self._request is None:
            self._request = self._describe() if self._describe else WebRequest(self.cookies, self.https)
        return self._request

    @property
    def options(self) -> CookieAuthenticationOptions:
        """Those of the application."""
        return self.authenticator.options

    def where(self) -> tuple[str, str]:
        """The Host header and the decoded path of the request."""
        return self.request.where()

    # --- for the application --------------------------------------------------------------------------------

    @property
    def result(self) -> AuthenticateResult:
        """What the cookie said. `KeyManagementError` if there is no ring, or the session store cannot be reached."""
        if not self._is_closed:
            self.touched = True
        if self.failure is not None:
            raise self.failure
        if self._result is None:
            try:
                return drive(self.read()) if self._may_wait else self._read_at_once()
            except KeyManagementError as error:
                self.failure = error
                raise
        return self._result

    @property
    def subject(self) -> str | None:
        """Whose sessions may be read in this request: the cookie's user; ``None`` if anonymous."""
        ticket = self.result.ticket
        return None if ticket is None else ticket.principal.subject

    def attach(self, session: BoundSession) -> None:
        """Bind a session of this request to its user. There are several if applications are mounted in each other."""
        self._sessions = (*self._sessions, session)
        session.bind(lambda: self.subject)
        if self.device is not None and self.device.keeps_sessions:
            session.is_frozen = True

    def has(self, session: BoundSession) -> bool:
        """Whether this session is bound to the user."""
        return any(bound is session for bound in self._sessions)

    def detach(self, session: BoundSession) -> None:
        """Leave this session to another sign-in, which binds it."""
        self._sessions = tuple(bound for bound in self._sessions if bound is not session)

    @property
    def is_device_bound(self) -> bool:
        """Whether the cookie's sign-in is bound to a browser that has confirmed it; see ``device_bound``."""
        _ = self.result
        return self.device is not None and self.device.is_bound

    @property
    def is_proven(self) -> bool:
        """Whether the sign-in is bound, and this request comes from the browser that has the key."""
        _ = self.result
        return self.device is not None and self.device.is_proven

    # --- reading --------------------------------------------------------------------------------------------

    def instead(self, path: str, method: str) -> Steps[Answer | None] | None:
        """What to answer in place of the application, where sign-ins are bound; ``None``: nothing.

        path: of the request, perhaps with that of the mount. method: of the request; ``""`` for a websocket.
        """
        device = self.device
        if device is None:
            return None
        if device.must_decide_first(method):
            return self._repeated(device, device.instead(path, method))
        return device.instead(path, method)

    def _repeated(self, device: RequestDevice, own: Steps[Answer | None] | None) -> Steps[Answer | None]:
        if own is not None:
            return (yield from own)
        try:
            yield from self.read()
        except KeyManagementError as error:
            self.failure = error
        return device.repeated()

    @property
    def must_read_ahead(self) -> bool:
        """Whether there is a ticket whose reading may wait for a store or an event."""
        return self._may_wait and self.authenticator.cookie.is_in(self.cookies)

    def ahead(self) -> Steps[object] | None:
        """Wait for the keys that the cookie names; read the ticket if that may wait for a store or an event."""
        cookie = self.authenticator.cookie
        steps: Steps[object] | None = cookie.waits(self.authenticator.ring, self.cookies, self._located)
        if self.device is not None:
            steps = self.device.ahead(steps)
        return self._read_ahead(steps) if self._may_wait and self.must_read_ahead else steps

    def _read_ahead(self, steps: Steps[object] | None) -> Steps[object]:
        if steps is not None:
            yield from steps
        return (yield from self.read())

    def read(self) -> Steps[AuthenticateResult]:
        """Read the ticket, once; slide it; ask the application whether it still counts."""
        if self._result is None:
            if self._read is None:
                self._read = yield from self.authenticator.cookie.read(self.cookies, self.now, self._located)
                if self.device is not None:
                    self._read = self._proven(self.device, self._read)
                    yield from self.device.reported(self.options.events)
            ticket = self._read.ticket
            if ticket is None or not self._is_judged:
                return self._slid(self._read)
            judged = validity.judge(ticket, self.now, self.options, self.request.native)
            ticket, self._renewal = yield from judged
            self._result = AuthenticateResult(ticket)
            if ticket is None:
                self._result = AuthenticateResult(failure=records.REJECTED)
                records.ended(records.REJECTED, self.options.scheme, self._read.ticket)
        return self._result

    def _read_at_once(self) -> AuthenticateResult:
        """`read` where nothing has to be waited for."""
        if self._read is None:
            self._read = self.authenticator.cookie.read_at_once(self.cookies, self.now, self._located)
            if self.device is not None:
                self._read = self._proven(self.device, self._read)
        return self._slid(self._read)

    def _proven(self, device: RequestDevice, found: ReadTicket) -> ReadTicket:
        """What was read, if no proof is missing."""
        found = device.judged(found)
        if device.keeps_sessions:
            for session in self._sessions:
                session.is_frozen = True
        return found

    def _slid(self, found: ReadTicket) -> AuthenticateResult:
        """What was read, where no event decides about it."""
        if found.ticket is not None:
            self._renewal = validity.slide(found.ticket, self.now, self.options)
        self._result = AuthenticateResult(found.ticket, found.failure)
        return self._result

    # --- the response ---------------------------------------------------------------------------------------

    def work(self, status: int) -> Steps[None] | None:
        """Do what was asked, or renew the ticket in the session store; ``None`` if there is nothing of that kind."""
        if not self._asked and (self._renewal is None or not self.authenticator.has_store):
            return None
        return self._work(status)

    def _work(self, status: int) -> Steps[None]:
        self._is_closed = True
        if self.failure is not None:
            raise self.failure
        authenticator = self.authenticator
        if self._read is None and self._changed is not None:  # for its key in the session store
            self._read = yield from authenticator.cookie.read(self.cookies, self.now, self._located)
            if self.device is not None:
                self._read = self.device.judged(self._read)
        read = self._read or ReadTicket()
        ticket = read.ticket if self._result is None else self._result.ticket
        self._finishing = Finishing(
            authenticator.options,
            authenticator.cookie,
            self.request,
            self._sessions,
            self.now,
            read.key,
            ticket,
            self.device,
        )
        yield from self._finishing.run(self._asked, self._renewal, status)

    def answer(self, status: int, headers: Headers) -> Answer:
        """The sign-in cookie and the redirect. `CookieTooLargeError` if the ticket does not fit into the cookie."""
        if self.failure is not None:
            raise self.failure
        finishing, cookie = self._finishing, self.authenticator.cookie
        lines = None if finishing is None else finishing.lines
        if self._renewal is not None and finishing is None:
            lines = drive(cookie.rewrite(self._renewal, self, self.now, None))  # no store: nothing to wait for
            records.renewed(self._renewal, "sliding")
        if lines and headers:
            response = [value for name, value in headers if name.lower() == "set-cookie"]
            budget.check(self.cookies, [*response, *lines], cookie.settings.max_total, cookie.settings.name)
        if lines is not None:
            answer = never_stored(headers, lines)
        else:
            answer = not_stored(headers) if self.options.no_store else depends_on_cookies(headers)
        if finishing is not None and finishing.is_signed_out and self.options.clear_site_data:
            answer = answer.then(clears(self.options.clear_site_data))
        if finishing is not None and finishing.decision is not None:
            answer = answer.then(redirects.answer(finishing.decision, status))
        if self.device is not None:
            answer = self.device.finished(answer, headers, is_changed=lines is not None)
        self.touched = False
        self.close()
        return answer

    def close(self) -> None:
        """From now on signing in or out raises."""
        self._is_closed = True
        if not self._is_judged:  # an event may ask for the request later
            self._describe = None  # it holds the scope, which holds this: a reference cycle in each request
