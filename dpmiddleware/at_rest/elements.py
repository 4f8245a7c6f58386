"""What wrappers share: taking a wrapping apart strictly, and what wrappings of our own are bound to.

Our wrappings authenticate, beside the key, where it belongs: moved into another document, or with a date, an
algorithm or the id of its own document changed, it does not open::

    binding := decryptorType ‖ 00 ‖ BE32(length of ring) ‖ ring ‖ digest (32) ‖ key id (16, big-endian)

``ring`` is the ring's name in UTF-8; ``digest`` is SHA-256 of the canonical ``<key>`` without secret and signature.
"""

from __future__ import annotations

import binascii
import os
import xml.etree.ElementTree as ET
from base64 import b64encode
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from dpmiddleware.errors import KeyUnwrapError, MalformedDocumentError
from dpmiddleware.keys.interfaces import Binding
from dpmiddleware.keys.xml import parse, split_name

__all__ = [
    "attribute",
    "binding_bytes",
    "child",
    "children",
    "decode",
    "new_element",
    "open_sealed",
    "opened",
    "seal",
]

NONCE_SIZE: Final = 12
_TAG_SIZE: Final = 16


def binding_bytes(decryptor_type: str, binding: Binding) -> bytes:
    """What a wrapping of our own authenticates; see the module's text."""
    ring = binding.ring.encode()
    owner = len(ring).to_bytes(4, "big") + ring + binding.digest + binding.key_id.bytes
    return decryptor_type.encode() + b"\0" + owner


def child(parent: ET.Element, tag: str) -> ET.Element:
    """The one child of that expanded name. `KeyUnwrapError` where there is none, or more."""
    found = parent.findall(tag)
    if len(found) != 1:
        raise _malformed(f"<{split_name(parent.tag)[1]}> without exactly one <{split_name(tag)[1]}>")
    return found[0]


def children(parent: ET.Element, *tags: str) -> tuple[ET.Element, ...]:
    """One child for each of ``tags``, and no other."""
    if len(parent) != len(tags):
        raise _malformed(f"<{split_name(parent.tag)[1]}> with {len(parent)} children")
    return tuple(child(parent, tag) for tag in tags)


def attribute(element: ET.Element, name: str, *allowed: str) -> str:
    """An attribute with one of the values ``allowed``."""
    value = element.get(name)
    if value not in allowed:
        raise _malformed(f"<{split_name(element.tag)[1]}> of an unknown {name}")
    return value


def decode(element: ET.Element) -> bytes:
    """The base64 text of an element without children; white space counts for nothing."""
    if len(element):
        raise _malformed(f"<{split_name(element.tag)[1]}> with children")
    try:
        return binascii.a2b_base64("".join((element.text or "").split()), strict_mode=True)
    except ValueError:
        raise _malformed(f"<{split_name(element.tag)[1]}> that is no base64") from None


def new_element(tag: str, *, attributes: dict[str, str] | None = None, **texts: str | bytes) -> ET.Element:
    """``<tag>`` with one child a keyword; bytes become base64."""
    element = ET.Element(tag, attributes or {})
    for name, value in texts.items():
        text = b64encode(value).decode("ascii") if isinstance(value, bytes) else value
        ET.SubElement(element, name).text = text
    return element


def opened(plaintext: bytes) -> ET.Element:
    """The ``<masterKey>`` that came out of a wrapping, as UTF-8 with or without BOM and declaration."""
    try:
        element = parse(plaintext)
    except MalformedDocumentError:
        element = None
    if element is None or element.tag != "masterKey":
        raise KeyUnwrapError("what the wrapping holds is no master key", hint=_HINT)
    return element


def seal(key: bytes, plaintext: bytes, associated_data: bytes) -> bytes:
    """AES-256-GCM: nonce (12, random) ‖ ciphertext ‖ tag (16)."""
    nonce = os.urandom(NONCE_SIZE)
    return nonce + AESGCM(key).encrypt(nonce, plaintext, associated_data)


def open_sealed(key: bytes, sealed: bytes, associated_data: bytes) -> bytes | None:
    """What `seal` made, opened; ``None`` under another key or binding."""
    if len(sealed) < NONCE_SIZE + _TAG_SIZE:
        return None
    try:
        return AESGCM(key).decrypt(sealed[:NONCE_SIZE], sealed[NONCE_SIZE:], associated_data)
    except InvalidTag:
        return None


_HINT: Final = "the document was changed, or written by something else"


def _malformed(problem: str) -> KeyUnwrapError:
    return KeyUnwrapError(f"the wrapping cannot be read: {problem}", hint=_HINT)
