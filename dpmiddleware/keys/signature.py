"""Who may put a key or a revocation into a ring: documents are signed, and verified before anything is unwrapped.

The signature is one element, the last child of ``<key>`` or ``<revocation>``, without children; .NET passes over it::

    <signature version="1" ring="shop" signer="{64 hex}" time="2026-…Z" xmlns="urn:dpmiddleware:2026:keys">
        base64
    </signature>

    signed   := field("dpmiddleware.DocumentSignature") ‖ field(version) ‖ field(ring) ‖ field(key id) ‖ field(time)
                ‖ field(canonical form of the document without its signature)
    field(b) := BE32(length in bytes) ‖ b            texts as UTF-8, version and time as they stand there
    key id   := SHA-256 of the signer's public key as DER SubjectPublicKeyInfo (32 bytes; hex in ``signer``)

The algorithm is that of the trusted key, never the document's (`dpmiddleware.keys.signers`). Keys are pinned: of a
certificate only its public key counts, no chain, no validity. The canonical form is that of `dpmiddleware.keys.xml`.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, NoReturn

from cryptography.exceptions import InvalidSignature

from dpmiddleware.errors import ConfigurationError, DocumentSignatureError
from dpmiddleware.instants import Instant
from dpmiddleware.keys.signers import (
    EcdsaSigner,
    Ed25519Signer,
    PublicKey,
    RsaPssSigner,
    Signer,
    checked_key,
    key_id_of,
    load_public_keys,
    verify_bytes,
)
from dpmiddleware.keys.xml import SIGNATURE, canonical, dump, parse
from dpmiddleware.printable import printable

__all__ = [
    "DocumentSignature",
    "EcdsaSigner",
    "Ed25519Signer",
    "PublicKey",
    "RingSigner",
    "RsaPssSigner",
    "Signer",
    "TrustedSigners",
    "is_signed",
    "key_id_of",
    "load_public_keys",
    "signature_of",
    "signed_bytes",
]

_DOMAIN: Final = b"dpmiddleware.DocumentSignature"
_VERSION: Final = "1"
_ATTRIBUTES: Final = frozenset({"version", "ring", "signer", "time"})
_KEY_ID: Final = re.compile("[0-9a-f]{64}")
_SIGN_HINT: Final = "if this document is yours: dpm keys sign; if not, somebody else can write to the store"


@dataclass(frozen=True, slots=True)
class DocumentSignature:
    """A signature as it stands in a document, verified or not. ``signer``: key id in hex. ``value``: its bytes."""

    ring: str
    signer: str
    time: str
    value: bytes


def is_signed(element: ET.Element) -> bool:
    """Whether there is anything like a signature in ``element``, good or bad, wherever it stands."""
    return any(True for _ in element.iter(SIGNATURE))


def signature_of(element: ET.Element) -> DocumentSignature:
    """The signature of a document, not verified. `DocumentSignatureError`: ``unsigned``, ``malformed_signature``."""
    found = list(element.iter(SIGNATURE))
    if not found:
        raise DocumentSignatureError("the document is not signed", reason="unsigned", hint=_SIGN_HINT)
    signature = found[0]
    if len(found) > 1:
        _malformed("more than one signature")
    if element[-1:] != [signature]:
        _malformed("the signature is not the last child of the document")
    if len(signature) or signature.attrib.keys() != _ATTRIBUTES:
        _malformed("the signature has children, or other attributes than it should have")
    if signature.attrib["version"] != _VERSION:
        _malformed(f"the signature has version {printable(signature.attrib['version'], 20)}, which is not known here")
    if not _KEY_ID.fullmatch(signature.attrib["signer"]):
        _malformed("the signer is no key id")
    try:
        Instant.parse(signature.attrib["time"])
        text = (signature.text or "").strip()
        value = b64decode(text, validate=True)
    except ValueError:
        _malformed("time or value of the signature cannot be read")
    if b64encode(value).decode() != text:
        _malformed("the signature's value has bits that count for nothing")
    return DocumentSignature(signature.attrib["ring"], signature.attrib["signer"], signature.attrib["time"], value)


def signed_bytes(element: ET.Element, ring: str, signer: str, time: str) -> bytes:
    """What a signature is made over. ``signer``: key id in hex; ``time``: as it is written in the document."""
    document = canonical(element, frozenset({SIGNATURE}))
    parts = (_DOMAIN, _VERSION.encode(), ring.encode(), bytes.fromhex(signer), time.encode(), document)
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def _malformed(problem: str) -> NoReturn:
    raise DocumentSignatureError(problem, reason="malformed_signature", hint=_SIGN_HINT)


# --- verifying ----------------------------------------------------------------------------------------------


class TrustedSigners:
    """The public keys that may sign documents of one ring: a `DocumentVerifier`. Several, so that signers rotate.

    keys: public keys, pinned. ring: the ring's name; a document signed for another one is refused.
    """

    def __init__(self, keys: Iterable[PublicKey], *, ring: str) -> None:
        self._keys: Mapping[str, PublicKey] = {key_id_of(checked_key(key)): key for key in keys}
        self._ring = ring

    @classmethod
    def from_paths(cls, paths: Iterable[str | Path], *, ring: str) -> TrustedSigners:
        """Read public keys and certificates (PEM, several in a file, or DER). `ConfigurationError` names the file."""
        return cls((key for path in paths for key in load_public_keys(path)), ring=ring)

    def including(self, signer: Signer) -> TrustedSigners:
        """The same and ``signer`` itself: who signs trusts what he signed."""
        return TrustedSigners((*self._keys.values(), signer.public_key), ring=self._ring)

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The ids of the trusted keys, in hex."""
        return tuple(self._keys)

    def verify(self, element: ET.Element) -> None:
        """Return if a trusted key signed ``element`` for this ring; else `DocumentSignatureError` with a ``reason``."""
        signature = signature_of(element)
        key = self._keys.get(signature.signer)
        if key is None:
            raise DocumentSignatureError(
                f"signed by {signature.signer[:16]}…, who is not trusted here", reason="unknown_signer", hint=_SIGN_HINT
            )
        try:
            verify_bytes(key, signature.value, signed_bytes(element, signature.ring, signature.signer, signature.time))
        except InvalidSignature:
            raise DocumentSignatureError(
                "the document was changed after it was signed", reason="bad_signature", hint=_SIGN_HINT
            ) from None
        if signature.ring != self._ring:
            raise DocumentSignatureError(
                f"signed for the ring {printable(signature.ring)}, this is {printable(self._ring)}",
                reason="wrong_ring",
                hint="a document of another ring was put here, or ring= differs from the signer's",
            )

    def __repr__(self) -> str:
        return f"<TrustedSigners of {printable(self._ring)}: {', '.join(key[:16] for key in self._keys)}>"


# --- signing ------------------------------------------------------------------------------------------------


class RingSigner:
    """Signs the documents of one ring: a `DocumentSigner`. signer: whose key. ring: the ring's name."""

    def __init__(self, signer: Signer, *, ring: str) -> None:
        checked_key(signer.public_key)
        self._signer = signer
        self._ring = ring

    def sign(self, element: ET.Element, now: datetime) -> None:
        """Append the signature to ``element``, in place of those among its children; ``now`` is the signing time.

        Signed is what a reader will read, not what is in memory: a carriage return in a reason would not survive, and
        a character that XML cannot carry is `MalformedDocumentError` here. What was signed is verified at once, so that
        a key service which signs in another way is found out.
        """
        for old in element.findall(SIGNATURE):
            element.remove(old)
        if is_signed(element):
            _malformed("a signature lies deeper in the document")
        key_id = key_id_of(self._signer.public_key)
        time = str(Instant.of(now))
        data = signed_bytes(parse(dump(element)), self._ring, key_id, time)
        try:
            value = self._signer.sign(data)
        except Exception as error:  # noqa: BLE001 (a signer of the user's own, whose errors nobody knows)
            raise DocumentSignatureError(
                f"the signer did not sign: {type(error).__name__}",
                reason="not_signed",
                hint="is the module or service there that holds the signer's key?",
            ) from None
        try:
            verify_bytes(self._signer.public_key, value, data)
        except InvalidSignature:
            raise ConfigurationError(
                "the signer's signature does not fit its public key",
                hint="RSA-PSS wants a salt of 32 bytes, ECDSA the DER form",
            ) from None
        attributes = {"version": _VERSION, "ring": self._ring, "signer": key_id, "time": time}
        ET.SubElement(element, SIGNATURE, attributes).text = b64encode(value).decode()

    def __repr__(self) -> str:
        return f"<RingSigner of {printable(self._ring)}: {self._signer!r}>"
