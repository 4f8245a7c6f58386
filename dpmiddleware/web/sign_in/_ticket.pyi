"""What `_ticket.c` offers; it is there only where it was built. `dpmiddleware.web.sign_in.ticket` uses it."""

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
        """The texts are the defaults of an identity and of a claim."""

    def read(self, data: bytes, /) -> Ticket | None:
        """The ticket; ``None`` where it is not an ordinary one, or there is anything wrong with it."""

    def write(self, ticket: Ticket, /) -> bytes | None:
        """The bytes; ``None`` where it is not an ordinary one, or cannot be written."""
