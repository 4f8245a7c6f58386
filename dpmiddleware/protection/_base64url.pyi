"""The interface of `_base64url.c`, for `dpmiddleware.protection.base64url`. The module exists only if it was built."""

def encode(payload: bytes, /) -> str:
    """Encode a payload as base64url without padding."""

def decode(text: bytes, /) -> bytes | None:
    """Decode text in the form that `encode` writes; ``None`` for other text."""
