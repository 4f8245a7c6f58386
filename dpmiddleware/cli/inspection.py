"""``dpm inspect``: what a payload shows without decryption, and what the ring knows about its key.

Key id and size of a payload are visible to everyone; see `dpmiddleware.protection.payload`.
"""

from __future__ import annotations

import argparse
import binascii
import re
import sys
from urllib.parse import unquote
from uuid import UUID

from dpmiddleware.cli.output import Console, counted, table
from dpmiddleware.cli.parsers import Verbs
from dpmiddleware.cli.presence import Needs
from dpmiddleware.cli.ring import RingView, open_ring
from dpmiddleware.cli.verbs import ABOUT
from dpmiddleware.crypto.encryptors import CbcHmac, Suite
from dpmiddleware.errors import MalformedPayloadError
from dpmiddleware.keys.key import KeyState
from dpmiddleware.protection import base64url
from dpmiddleware.protection.payload import HEAD_SIZE, key_id_of

__all__ = ["add_to", "plaintext_sizes"]

_MAX_INPUT = 1_000_000  # characters; a payload in a cookie has 4,000
_TOKEN = re.compile(r"(?:CfDJ8|Q2ZESj)[A-Za-z0-9+/_-]+")
"""A payload in base64 or base64url, or the same of that text."""
_CHUNKED = re.compile(r"chunks-?[0-9]+", re.IGNORECASE)
_READABLE = {KeyState.ACTIVE, KeyState.CREATED, KeyState.EXPIRED}


def add_to(verbs: Verbs) -> None:
    """``inspect``."""
    examples = ["dpm inspect CfDJ8NpJhkuGEc9Mh2Pmi1uRC60A --repository redis://localhost/0"]
    parser = verbs.add("inspect", _inspect, ABOUT["inspect"], examples=examples, notes=False, needs=Needs.ANYTHING)
    parser.add_argument("payload", metavar="TOKEN", help="a payload as text; - reads it from standard input")


def _inspect(arguments: argparse.Namespace, console: Console) -> int:
    """Exit status 0 if the ring has a key that can open the payload."""
    text = (_standard_input() if arguments.payload == "-" else arguments.payload).strip().strip('"')
    if _CHUNKED.fullmatch(text):
        hint = "join the values of NAMEC1, NAMEC2, …, and inspect the result"
        console.error(f"{text!r} is the number of chunks of a cookie, not a payload", hint)
        return 1
    try:
        payload = _payload_in(text)
        key_id = UUID(bytes_le=key_id_of(payload))
    except MalformedPayloadError as error:
        console.error(f"{error} ({len(text)} characters)", "pass only the value; a payload begins with CfDJ8")
        return 1
    dp = open_ring(arguments)
    view = RingView.of(dp)
    key = view.get(key_id)
    suite = None if key is None or key.encryptor is None else key.encryptor.suite
    sizes = None if suite is None else plaintext_sizes(suite, len(payload))
    rows: list[tuple[str, object]] = [
        ("key", key_id),
        ("state", "not in this ring" if key is None else view.describe(key)),
        ("ring", f"{dp.repository.location}, {counted(len(view.keys), 'key')}"),
        ("payload", f"{len(payload)} bytes, {len(text)} characters as text"),
    ]
    if suite is not None:
        rows += [("algorithm", suite.name), ("plaintext", _in_words(sizes))]
    data = {
        "key_id": str(key_id),
        "state": "unknown" if key is None else key.state(view.now).value,
        "key": None if key is None else view.as_json(key),
        "payload_bytes": len(payload),
        "characters": len(text),
        "plaintext_bytes": sizes,
    }
    console.result(data, table(("", ""), rows)[1:])
    return 0 if key is not None and key.state(view.now) in _READABLE else 1


def _standard_input() -> str:
    try:
        return sys.stdin.read(_MAX_INPUT)
    except UnicodeDecodeError:
        return "(not text)"


def _payload_in(text: str) -> bytes:
    """The payload in a text. `MalformedPayloadError` if it has none.

    Also as other programs write it: percent-encoded, in ordinary base64 without padding (ASP.NET Core's session
    cookie), as base64 of its text (ASP.NET Core Identity), and within a link or a Cookie header.
    """
    found = _TOKEN.search(unquote(unquote(text)))
    return base64url.decode(text) if found is None else _decoded(found[0])


def _decoded(token: str) -> bytes:
    try:
        standard = token.replace("-", "+").replace("_", "/")
        data = binascii.a2b_base64(standard + "=" * (-len(token) % 4))
    except ValueError:
        raise MalformedPayloadError("not a protected payload: it was cut, or is not base64") from None
    return _decoded(data.decode("ascii", "replace").rstrip("=")) if data.startswith(b"CfDJ8") else data


def plaintext_sizes(suite: Suite, size: int) -> tuple[int, int] | None:
    """The smallest and the largest plaintext of a payload of ``size`` bytes; ``None`` if no payload has this size.

    GCM reveals the exact size, CBC only the number of blocks.
    """
    if not isinstance(suite, CbcHmac):
        exact = size - HEAD_SIZE - 16 - 12 - 16
        return (exact, exact) if exact >= 0 else None
    block = 16 if suite.cipher == "AES" else 8
    digest = {"sha1": 20, "sha256": 32, "sha384": 48, "sha512": 64}[suite.digest]
    blocks, rest = divmod(size - HEAD_SIZE - 16 - block - digest, block)
    return (blocks * block - block, blocks * block - 1) if blocks > 0 and not rest else None


def _in_words(sizes: tuple[int, int] | None) -> str:
    if sizes is None:
        return "none: no payload of this algorithm has this size"
    least, most = sizes
    return f"{least} bytes" if least == most else f"{least} to {most} bytes"
