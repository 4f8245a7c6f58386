"""`RequestDevice`: device binding in one request, beside its sign-in. ::

    ticket                        bound cookie        level        the user is
    not bound, or not confirmed                                    the ticket's
    confirmed                     of its session                   the ticket's
    confirmed                     otherwise           report       the ticket's, and it is counted
    confirmed                     otherwise           require      anonymous, after the browser was asked to come again

An unproven request changes nothing: the ticket is neither renewed nor deleted, and a session of the user that it names
is left as it is if the browser comes again, or said that it could not reach us.
"""

from __future__ import annotations

import re
from typing import Final

from dpmiddleware import telemetry
from dpmiddleware.errors import KeyManagementError
from dpmiddleware.web.answer import Answer, Headers, never_stored, unavailable
from dpmiddleware.web.device_bound import come_again
from dpmiddleware.web.device_bound.binding import Binding
from dpmiddleware.web.device_bound.bound_cookie import Lack
from dpmiddleware.web.device_bound.challenge import claim_uid
from dpmiddleware.web.device_bound.come_again import Again
from dpmiddleware.web.device_bound.instructions import offer_header, refusal
from dpmiddleware.web.device_bound.refresh import refresh
from dpmiddleware.web.device_bound.registration import register
from dpmiddleware.web.device_bound.service import DeviceBinding, Visit
from dpmiddleware.web.sign_in.claims import Principal
from dpmiddleware.web.sign_in.events import CookieAuthenticationEvents, DeviceContext
from dpmiddleware.web.sign_in.properties import AuthenticationProperties
from dpmiddleware.web.sign_in.ticket import Ticket
from dpmiddleware.web.sign_in.ticket_cookie import ReadTicket
from dpmiddleware.web.steps import Steps

__all__ = ["NOT_PROVEN", "RequestDevice"]

NOT_PROVEN: Final = "Device not proven"
"""Why a ticket does not count."""
_SKIPPED: Final = re.compile(r"unreachable|server_error|quota_exceeded")
_OUTAGES: Final = {"unreachable", "server_error"}
_SHARED: Final = re.compile(r"\bpublic\b|\bs-maxage\b|\bmax-age=0*[1-9]", re.IGNORECASE)


class RequestDevice:
    """See the module.

    ticket: what was read, proven or not.
    binding: its binding.
    lack: what the request lacks to be proven.
    again: how the browser is asked to come again.
    keeps_sessions: whether no session of the request may be written.
    reason: why the request is not proven, in the words of the counter.
    """

    ticket: Ticket | None = None
    binding: Binding | None = None
    lack: Lack | None = None
    again: Again | None = None
    keeps_sessions: bool = False
    reason: str = ""
    _offered_to: Principal | None = None

    def __init__(self, service: DeviceBinding, visit: Visit) -> None:
        self.service, self._visit = service, visit

    @property
    def is_bound(self) -> bool:
        """Whether the ticket is bound to a browser that has confirmed it."""
        return self.binding is not None and self.binding.confirmed

    @property
    def is_proven(self) -> bool:
        """Whether it is bound, and the browser has proven its key."""
        return self.is_bound and self.lack is None

    @property
    def endpoints(self) -> tuple[str, str]:
        """Where the browser's own requests go, with the path of the mount."""
        base = self._visit.request.path_base
        return base + self.service.registration, base + self.service.refresh

    # --- before the application ------------------------------------------------------------------------------

    def instead(self, path: str, method: str) -> Steps[Answer | None] | None:
        """What to answer in place of the application; ``None``: nothing, or nothing that is an endpoint's.

        path: of the request, perhaps with that of the mount. method: of the request; "" for a websocket.
        """
        if not path.endswith(self.service.endings):
            return None
        at = self._visit.request.path
        if at == self.service.registration:
            return self._endpoint(register(self.service, self._visit), method)
        return self._endpoint(refresh(self.service, self._visit), method) if at == self.service.refresh else None

    def _endpoint(self, steps: Steps[Answer], method: str) -> Steps[Answer]:
        answer = refusal(405, ("allow", "POST"))
        if method == "POST":
            try:
                answer = yield from steps
            except KeyManagementError as error:
                answer = unavailable(error)
        return answer

    def must_decide_first(self, method: str) -> bool:
        """Whether the request might be repeated, so that the application may not have begun with it."""
        changes = method not in {"", "GET", "HEAD"}
        return changes and self.service.bound.enforces and self.service.cookie.is_in(self._visit.cookies)

    def repeated(self) -> Answer | None:
        """The answer that repeats this request, which has been read."""
        return self._asks(self.again, []) if self.again == "repeat" else None

    def ahead(self, steps: Steps[object] | None) -> Steps[object] | None:
        """Wait for the keys of the bound cookie, too. steps: the waiting for those of the ticket."""
        own = self.service.cookie.waits(self.service.ring, self._visit.cookies)
        return steps if own is None else _both(own, steps)

    def judged(self, found: ReadTicket) -> ReadTicket:
        """What was read, without the ticket if it has to be proven, and is not."""
        self.ticket = found.ticket
        if found.ticket is None:
            return found
        self.binding = self.service.binding(found.ticket)
        if self.binding is None or not self.binding.confirmed:
            return found
        self.lack = self.service.cookie.lack(self._visit.cookies, self.binding.identifier)
        if self.lack is None:
            return found
        skipped = _SKIPPED.search(self._visit.request.header("secure-session-skipped"))
        self.reason = f"{self.lack} {skipped[0]}" if skipped else self.lack
        if self.service.bound.offers:
            telemetry.count("device_unproven", self.reason)
        if not self.service.bound.enforces:
            return found
        self.again = come_again.decide(self.service.cookie, self._visit)
        self.keeps_sessions = self.again is not None or (skipped is not None and skipped[0] in _OUTAGES)
        return ReadTicket(None, NOT_PROVEN, found.key)

    def reported(self, events: CookieAuthenticationEvents) -> Steps[None]:
        """Tell the application about a request that is not proven."""
        if self.reason and self.ticket is not None:
            scheme, native = self.service.options.scheme, self._visit.request.native
            context = DeviceContext(native, scheme, self.ticket.principal, self.reason)
            yield from events.call("device_unproven", context)

    # --- the response ----------------------------------------------------------------------------------------

    def signing_in(self, principal: Principal, properties: AuthenticationProperties) -> None:
        """A ticket for ``principal`` is about to be created: it stays bound if it is the same user's, and proven.

        properties: those of the new ticket. They may come from another ticket, with its binding.
        """
        Binding.remove_from(properties)
        is_same = self.ticket is not None and self.ticket.principal.subject == principal.subject is not None
        if is_same and self.is_proven and self.binding is not None:
            self.binding.put_into(properties)
        else:
            self._offered_to = principal

    def signed_out(self) -> list[str]:
        """The Set-Cookie lines that delete our cookies when the user signs out."""
        self._offered_to = None
        cookie, header = self.service.cookie, self._visit.cookies
        lines = cookie.delete(header, self._visit.where) if cookie.is_in(header) else []
        return [*lines, *cookie.unmarked(header)]

    def finished(self, answer: Answer, headers: Headers, *, is_changed: bool) -> Answer:
        """The answer of the sign-in, with an offer, or replaced where the browser is asked to come again.

        headers: those of the application's response.
        is_changed: whether the ticket is written or deleted.
        """
        if self.again is not None and not is_changed:
            return answer.then(self._asks(self.again, answer.applied_to(headers)))
        service = self.service
        if self._offered_to is not None:
            return self._offered(answer, self._offered_to)
        is_due = service.bound.offer == "always" and self.ticket is not None and self.binding is None
        if is_changed or not is_due or self.ticket is None or self._is_shared(headers):
            return answer
        if service.cookie.is_marked_as_offered(self._visit.cookies):
            return answer
        offered = self._offered(answer, self.ticket.principal)
        if offered is answer:
            return answer
        lines = [service.cookie.marked_as_offered(service.bound.challenge_max_age)]
        return offered.then(never_stored(offered.applied_to(headers), lines))

    def _offered(self, answer: Answer, principal: Principal) -> Answer:
        service = self.service
        if not (service.bound.offers and claim_uid(principal) and service.offers_at(self._visit)):
            return answer
        telemetry.count("device_offered")
        challenge = service.challenges.of_registration(principal)
        return answer.then(Answer([offer_header(service.bound, self._visit.request.path_base, challenge)]))

    def _asks(self, again: Again, headers: Headers) -> Answer:
        telemetry.count("device_came_again", again)
        return come_again.answer(again, self.service.cookie, self._visit, headers)

    @staticmethod
    def _is_shared(headers: Headers) -> bool:
        """Whether a cache may keep the response for others."""
        return any(name.lower() == "cache-control" and _SHARED.search(value) for name, value in headers)


def _both(one: Steps[None], other: Steps[object] | None) -> Steps[object]:
    yield from one
    return None if other is None else (yield from other)
