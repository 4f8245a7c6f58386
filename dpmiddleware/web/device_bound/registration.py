"""The endpoint that binds a sign-in to the key of a browser. ::

    no proof, or not in order, or from a script                               400
    no ticket; a ticket that is bound for good; a challenge of somebody else  403
    no key ring, or the key of the ticket is unknown here                     503
    otherwise                                                                 200, instructions, ticket, bound cookie

Whatever is not 200 leaves the sign-in unbound, as a browser that does not know the protocol.

A ticket that is confirmed is never bound again, not even by a request that is proven: the copy of a cookie jar would
otherwise become worth the life of its ticket.
"""

from __future__ import annotations

from dpmiddleware import telemetry
from dpmiddleware.errors import CookieTooLargeError
from dpmiddleware.web.answer import Answer
from dpmiddleware.web.cookies import budget
from dpmiddleware.web.device_bound.binding import Binding
from dpmiddleware.web.device_bound.instructions import NOT_NOW, refusal
from dpmiddleware.web.device_bound.proof import DeviceKey, Proof, parse
from dpmiddleware.web.device_bound.service import RESPONSE, DeviceBinding, Visit
from dpmiddleware.web.sign_in.events import DeviceContext
from dpmiddleware.web.sign_in.ticket_cookie import ReadTicket
from dpmiddleware.web.steps import Steps

__all__ = ["register"]

_MADE_BY_BROWSER = {"", "no-cors"}
"""``Sec-Fetch-Mode`` of the browser's own request. A script can send a proof of its own only in other modes."""


def register(service: DeviceBinding, visit: Visit) -> Steps[Answer]:
    """The answer to a registration. `KeyManagementError` if there is no ring, or the store does not answer."""
    header = visit.request.header
    proof = parse(header(RESPONSE)) if header("sec-fetch-mode") in _MADE_BY_BROWSER else None
    if proof is None or proof.key is None:
        return _refused(400, "malformed")
    found = yield from service.read(visit)
    if found.ticket is None and service.ticket.is_in_doubt(visit.cookies):
        return NOT_NOW
    yield from service.challenges.wait(service.ring, proof.challenge)
    reason = _objection(service, visit, found, proof)
    if reason is not None:
        return _refused(403, reason)
    if proof.key.algorithm not in service.bound.algorithms or not proof.is_from(proof.key):
        return _refused(400, "signature")
    return (yield from _bind(service, visit, found, proof.key))


def _objection(service: DeviceBinding, visit: Visit, found: ReadTicket, proof: Proof) -> str | None:
    """Why the ticket is not bound to the key of this proof, whose signature is not verified yet."""
    if found.ticket is None or not visit.https:
        return "no_ticket"
    binding = service.binding(found.ticket)
    if binding is not None and binding.confirmed:
        return "bound_already"
    if not service.challenges.is_of_registration(proof.challenge, found.ticket.principal):
        return "challenge"
    return None


def _bind(service: DeviceBinding, visit: Visit, found: ReadTicket, key: DeviceKey) -> Steps[Answer]:
    assert found.ticket is not None  # noqa: S101 (for the type checker)
    binding = Binding.new(key, visit.now)
    bound = service.cookie.seal(visit.cookies, binding.identifier, is_first=True)
    try:
        lines = yield from service.rewritten(visit, found, binding)
        if lines is None:
            return _refused(403, "no_ticket")
        budget.check(visit.cookies, [*lines, *bound], service.ticket.settings.max_total, service.ticket.settings.name)
    except CookieTooLargeError:
        return _refused(403, "too_large")
    telemetry.count("device_registered")
    context = DeviceContext(visit.request.native, service.options.scheme, found.ticket.principal)
    yield from service.options.events.call("device_registered", context)
    return service.told(visit, binding, [*lines, *bound])


def _refused(status: int, reason: str) -> Answer:
    telemetry.count("device_refused", reason)
    return refusal(status)
