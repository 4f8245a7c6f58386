"""What `_base64url.c` offers; it is there only where it was built. `dpmiddleware.protection.base64url` uses it."""

def encode(payload: bytes, /) -> str:
    """A payload as base64url without padding."""

def decode(text: bytes, /) -> bytes | None:
    """The payload of a text as `encode` writes it; ``None`` for every other."""
