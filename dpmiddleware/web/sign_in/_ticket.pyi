"""The interface of `_ticket.c`, which exists only where it was built. `dpmiddleware.web.sign_in.ticket` uses it."""

from typing import final

from dpmiddleware.web.sign_in.claims import Claim, Identity, Principal
from dpmiddleware.web.sign_in.properties import AuthenticationProperties
from dpmiddleware.web.sign_in.ticket import Ticket

@final
class Codec:
    """Reads and writes tickets of these classes."""

    def __new__(
        cls,
        claim: type[Claim],
        identity: type[Identity],
        principal: type[Principal],
        ticket: type[Ticket],
        properties: type[AuthenticationProperties],
        name_claim_type: str,
        role_claim_type: str,
        value_type: str,
        issuer: str,
        /,
    ) -> Codec:
        """Make a codec. ``ValueError`` if the fields of a class are not the ones that it was built for.

        claim, identity, principal, ticket, properties: the classes.
        name_claim_type, role_claim_type: the defaults of an identity.
        value_type, issuer: the defaults of a claim.
        """

    def read(self, data: bytes, /) -> Ticket | None:
        """The ticket; ``None`` if it is not an ordinary one, or if anything is wrong with it."""

    def write(self, ticket: Ticket, /) -> bytes | None:
        """The bytes; ``None`` if it is not an ordinary ticket, or if it cannot be written."""
