"""What wrappers share: elements read strictly and written, the binding of wrappings of our own, AES-GCM.

Wrappings of our own also authenticate the place of the key. Such a wrapping does not decrypt after it was moved into
another document, or after a date, the algorithm or the id in its own document was changed::

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
from dpmiddleware.keys.xml import WHITE_SPACE, dump, parse, split_name

__all__ = [
    "attribute",
    "binding_bytes",
    "child",
    "children",
    "decode",
    "decrypt",
    "dump_as_document",
    "encrypt",
    "master_key_in",
    "new_element",
]

NONCE_SIZE: Final = 12
_TAG_SIZE: Final = 16
_WITHOUT_WHITE_SPACE: Final = str.maketrans("", "", WHITE_SPACE)
_HINT: Final = "check who changed the document, or which program wrote it"
_DOCUMENT_START: Final = b'\xef\xbb\xbf<?xml version="1.0" encoding="utf-8"?>'


def binding_bytes(decryptor_type: str, binding: Binding) -> bytes:
    """Return what a wrapping of our own authenticates; see the module's docstring."""
    ring = binding.ring.encode()
    owner = len(ring).to_bytes(4, "big") + ring + binding.digest + binding.key_id.bytes
    return decryptor_type.encode() + b"\0" + owner


# --- reading --------------------------------------------------------------------------------------------------


def child(parent: ET.Element, tag: str) -> ET.Element:
    """Return the only child of that expanded name. `KeyUnwrapError` if there is none, or more than one."""
    found = parent.findall(tag)
    if len(found) != 1:
        raise _malformed(f"<{split_name(parent.tag)[1]}> without exactly one <{split_name(tag)[1]}>")
    return found[0]


def children(parent: ET.Element, *tags: str) -> tuple[ET.Element, ...]:
    """Return one child for each of ``tags``. `KeyUnwrapError` if there are others."""
    if len(parent) != len(tags):
        raise _malformed(f"<{split_name(parent.tag)[1]}> with {len(parent)} children")
    return tuple(child(parent, tag) for tag in tags)


def attribute(element: ET.Element, name: str, *allowed: str) -> str:
    """Return the value of an attribute. `KeyUnwrapError` if it is not one of ``allowed``."""
    value = element.get(name)
    if value not in allowed:
        raise _malformed(f"<{split_name(element.tag)[1]}> with an unknown {name}")
    return value


def decode(element: ET.Element) -> bytes:
    """Decode the base64 text of an element without children; white space is ignored. `KeyUnwrapError`."""
    if len(element):
        raise _malformed(f"<{split_name(element.tag)[1]}> with children")
    try:
        return binascii.a2b_base64((element.text or "").translate(_WITHOUT_WHITE_SPACE), strict_mode=True)
    except ValueError:
        raise _malformed(f"<{split_name(element.tag)[1]}> that is not base64") from None


def master_key_in(plaintext: bytes) -> ET.Element:
    """Parse a decrypted ``<masterKey>``: UTF-8, with or without BOM and declaration. `KeyUnwrapError`."""
    try:
        element = parse(plaintext)
    except MalformedDocumentError:
        element = None
    if element is None or element.tag != "masterKey":
        raise KeyUnwrapError("the wrapping does not contain a master key", hint=_HINT)
    return element


def _malformed(problem: str) -> KeyUnwrapError:
    return KeyUnwrapError(f"the wrapping cannot be read: {problem}", hint=_HINT)


# --- writing --------------------------------------------------------------------------------------------------


def new_element(
    tag: str, *, comment: str = "", attributes: dict[str, str] | None = None, **texts: str | bytes
) -> ET.Element:
    """Create an element.

    tag: its name.
    comment: the text of a comment before its children.
    attributes: its attributes.
    texts: its children and their texts; bytes become base64.
    """
    element = ET.Element(tag, attributes or {})
    if comment:
        element.append(ET.Comment(comment))
    for name, value in texts.items():
        text = b64encode(value).decode("ascii") if isinstance(value, bytes) else value
        ET.SubElement(element, name).text = text
    return element


def dump_as_document(element: ET.Element) -> bytes:
    """Return BOM ‖ XML declaration ‖ element, as .NET encrypts it."""
    return _DOCUMENT_START + dump(element)


# --- AES-256-GCM ----------------------------------------------------------------------------------------------


def encrypt(key: bytes, plaintext: bytes, associated_data: bytes) -> bytes:
    """Return nonce (12, random) ‖ ciphertext ‖ tag (16)."""
    nonce = os.urandom(NONCE_SIZE)
    return nonce + AESGCM(key).encrypt(nonce, plaintext, associated_data)


def decrypt(key: bytes, encrypted: bytes, associated_data: bytes) -> bytes | None:
    """Decrypt the result of `encrypt`; ``None`` for another key or other associated data."""
    if len(encrypted) < NONCE_SIZE + _TAG_SIZE:
        return None
    try:
        return AESGCM(key).decrypt(encrypted[:NONCE_SIZE], encrypted[NONCE_SIZE:], associated_data)
    except InvalidTag:
        return None
