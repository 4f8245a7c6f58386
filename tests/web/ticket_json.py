"""Tickets as the vectors write them."""

from __future__ import annotations

from typing import Any

from dpmiddleware.web.sign_in.ticket import AuthenticationProperties, Claim, Identity, Principal, Ticket

__all__ = ["from_json", "to_json"]


def to_json(ticket: Ticket) -> dict[str, Any]:
    """Every field of a ticket, under .NET's names."""
    return {
        "scheme": ticket.scheme,
        "identities": [_identity(identity) for identity in ticket.principal.identities],
        "properties": ticket.properties.items,
    }


def from_json(ticket: dict[str, Any]) -> Ticket:
    """The ticket that `to_json` wrote."""
    identities = [_read_identity(identity) for identity in ticket["identities"]]
    return Ticket(ticket["scheme"], Principal(identities=identities), AuthenticationProperties(ticket["properties"]))


def _identity(identity: Identity) -> dict[str, Any]:
    return {
        "authenticationType": identity.authentication_type,
        "nameClaimType": identity.name_claim_type,
        "roleClaimType": identity.role_claim_type,
        "claims": [
            {
                "type": claim.type,
                "value": claim.value,
                "valueType": claim.value_type,
                "issuer": claim.issuer,
                "originalIssuer": claim.original_issuer,
                "properties": dict(claim.properties),
            }
            for claim in identity.claims
        ],
        "actor": None if identity.actor is None else _identity(identity.actor),
        "bootstrapContext": identity.bootstrap_context,
    }


def _read_identity(identity: dict[str, Any]) -> Identity:
    return Identity(
        tuple(
            Claim(c["type"], c["value"], c["valueType"], c["issuer"], c["originalIssuer"], c["properties"])
            for c in identity["claims"]
        ),
        identity["authenticationType"],
        identity["nameClaimType"],
        identity["roleClaimType"],
        None if identity["actor"] is None else _read_identity(identity["actor"]),
        identity["bootstrapContext"],
    )
