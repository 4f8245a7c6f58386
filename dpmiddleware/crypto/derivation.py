"""Derives subkeys from a master key: NIST SP 800-108 in counter mode with HMAC-SHA512, as in ASP.NET Core. ::

    block(i) := HMAC-SHA512(master key, BE32(i) ‖ label ‖ 00 ‖ context ‖ BE32(bits of output))      i = 1, 2, …
    output   := the first bytes of block(1) ‖ block(2) ‖ …
    label    := additional authenticated data of the payload        (dpmiddleware.protection.payload)
    context  := context header ‖ key modifier (16)                  (dpmiddleware.crypto.encryptors)

The length of the output is part of the input, so all subkeys of a payload are derived together and then cut apart.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.hmac import HMAC

__all__ = ["derive", "prepare", "short_hmac"]

_BLOCK: Final = 64
_INNER: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER: Final = bytes(byte ^ 0x5C for byte in range(256))


def derive(master_key: bytes, label: bytes, context: bytes, size: int) -> bytes:
    """Derive ``size`` bytes.

    master_key: any length; empty for context headers.
    label, context: the label and the whole context of the layout above.
    size: how many bytes to derive.
    """
    return prepare(master_key, label, context, size)(b"")


def prepare(master_key: bytes, label: bytes, context: bytes, size: int) -> Callable[[bytes], bytes]:
    """Return a function that takes the rest of the context (the key modifier) and derives ``size`` bytes.

    The input that is the same for all payloads is hashed here, once. A call copies that state and adds the rest.

    master_key, label, size: as for `derive`.
    context: the first part of the context (the context header).
    """
    fixed = label + b"\0" + context
    states = [_absorbed(master_key, i, fixed) for i in range(1, -(-size // _BLOCK) + 1)]
    bits = (8 * size).to_bytes(4, "big")
    if len(states) > 1:
        return lambda rest: b"".join(_finished(state, rest + bits) for state in states)[:size]
    state = states[0]

    def one_block(rest: bytes) -> bytes:
        block = state.copy()
        block.update(rest + bits)
        return block.finalize()[:size]

    return one_block


def short_hmac(digest: str) -> Callable[[bytes, bytes], bytes]:
    """HMAC (RFC 2104) for keys that fit into one block and are used once.

    A third faster than ``hmac.digest``, which looks up its algorithm on every call.
    """
    hash_of: Callable[[bytes], hashlib._Hash] = getattr(hashlib, digest)
    block_size = hash_of(b"").block_size

    def mac(key: bytes, message: bytes) -> bytes:
        padded = key.ljust(block_size, b"\0")
        return hash_of(padded.translate(_OUTER) + hash_of(padded.translate(_INNER) + message).digest()).digest()

    return mac


def _absorbed(master_key: bytes, counter: int, fixed: bytes) -> HMAC:
    state = HMAC(master_key, SHA512())
    state.update(counter.to_bytes(4, "big") + fixed)
    return state


def _finished(state: HMAC, rest: bytes) -> bytes:
    block = state.copy()
    block.update(rest)
    return block.finalize()
