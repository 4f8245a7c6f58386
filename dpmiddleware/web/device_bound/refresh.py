"""The endpoint where a browser proves that it still has its key. ::

    no identifier of a session                                                400: not a browser
    no ticket, or not of this session, or the application rejects it          200, the session ends
    no key ring, the key of the ticket is unknown here, the store is down     503
    no proof, one that does not hold, an old challenge                        403, a challenge
    otherwise                                                                 200, instructions, bound cookie

Any other answer ends the browser's session for good, which nobody would notice until the bound cookie ends. An outage
is therefore 503, and no answer is a redirect, 401, 404, 429, or a page.

The proof is verified with the key in the ticket. The first one also confirms the binding in the ticket; later ones
leave the ticket as it is.
"""

from __future__ import annotations

import hmac

from dpmiddleware import telemetry
from dpmiddleware.web.answer import Answer
from dpmiddleware.web.device_bound.binding import Binding
from dpmiddleware.web.device_bound.instructions import NOT_NOW, challenge_header, ended, refusal
from dpmiddleware.web.device_bound.proof import bare, parse
from dpmiddleware.web.device_bound.service import RESPONSE, DeviceBinding, Visit
from dpmiddleware.web.sign_in.claims import Principal
from dpmiddleware.web.sign_in.events import DeviceContext
from dpmiddleware.web.sign_in.ticket_cookie import ReadTicket
from dpmiddleware.web.steps import Steps

__all__ = ["refresh"]

_IDENTIFIER = "sec-secure-session-id"


def refresh(service: DeviceBinding, visit: Visit) -> Steps[Answer]:
    """The answer to a refresh. `KeyManagementError` if there is no ring, or the store does not answer."""
    identifier = bare(visit.request.header(_IDENTIFIER))
    if not identifier:
        telemetry.count("device_refused", "no_session")
        return refusal(400)
    found = yield from service.read(visit)
    if found.ticket is None and service.ticket.is_in_doubt(visit.cookies):
        return NOT_NOW
    binding = None if found.ticket is None else service.binding(found.ticket)
    if found.ticket is None or binding is None or not _equal(binding.identifier, identifier):
        telemetry.count("device_ended")
        return ended(identifier)
    principal = found.ticket.principal
    text = visit.request.header(RESPONSE)
    if text:
        reason = yield from _objection(service, principal, binding, text)
        if reason is None:
            return (yield from _renew(service, visit, found, binding))
        telemetry.count("device_refused", reason)
    challenge = service.challenges.of_refresh(principal, binding.identifier)
    return refusal(403, challenge_header(challenge, binding.identifier))


def _objection(service: DeviceBinding, principal: Principal, binding: Binding, text: str) -> Steps[str | None]:
    """Why a proof does not hold."""
    proof, key = parse(text), binding.key
    if proof is None:
        return "malformed"
    if key is None or not proof.is_from(key):
        return "signature"
    yield from service.challenges.wait(service.ring, proof.challenge)
    if not service.challenges.is_of_refresh(proof.challenge, principal, binding.identifier):
        return "challenge"
    return None


def _renew(service: DeviceBinding, visit: Visit, found: ReadTicket, binding: Binding) -> Steps[Answer]:
    assert found.ticket is not None  # noqa: S101 (for the type checker)
    lines = [
        *service.cookie.seal(visit.cookies, binding.identifier),
        *service.cookie.unmarked(visit.cookies),
    ]
    if not binding.confirmed:
        ticket = yield from service.rewritten(visit, found, binding._replace(confirmed=True))
        if ticket is None:  # signed out meanwhile
            telemetry.count("device_ended")
            return ended(binding.identifier)
        lines = [*ticket, *lines]
        telemetry.count("device_confirmed")
    telemetry.count("device_refreshed")
    context = DeviceContext(visit.request.native, service.options.scheme, found.ticket.principal)
    yield from service.options.events.call("device_refreshed", context)
    return service.told(visit, binding, lines)


def _equal(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))
