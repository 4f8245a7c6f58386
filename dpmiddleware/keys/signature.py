"""The signature of a key document. It is verified before anything is unwrapped.

The signature is one element without children, the last child of ``<key>`` or ``<revocation>``; .NET ignores it::

    <signature version="1" ring="shop" signer="{64 hex}" time="2026-…Z" xmlns="urn:dpmiddleware:2026:keys">
        base64
    </signature>

    signed   := field("dpmiddleware.DocumentSignature") ‖ field(version) ‖ field(ring) ‖ field(key id) ‖ field(time)
                ‖ field(canonical form of the document without its signature)
    field(b) := BE32(length in bytes) ‖ b            texts as UTF-8, version and time as in the attributes
    key id   := SHA-256 of the signer's public key as DER SubjectPublicKeyInfo (32 bytes; hex in ``signer``)

The trusted key decides the algorithm, never the document (`dpmiddleware.keys.signers`). Keys are pinned: of a
certificate only the public key is used, not its chain or validity. `dpmiddleware.keys.xml` defines the canonical form.
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
from dpmiddleware.keys.signers import PublicKey, Signer, checked_key, key_id_of, verify_bytes
from dpmiddleware.keys.xml import SIGNATURE, WHITE_SPACE, canonical, dump, parse
from dpmiddleware.printable import printable
from dpmiddleware.tracebacks import HidesLocals

__all__ = ["DocumentSignature", "RingSigner", "TrustedSigners", "is_signed", "signature_of", "signed_bytes"]

_DOMAIN: Final = b"dpmiddleware.DocumentSignature"
_VERSION: Final = "1"
_ATTRIBUTES: Final = frozenset({"version", "ring", "signer", "time"})
_KEY_ID: Final = re.compile("[0-9a-f]{64}")
_SIGN_HINT: Final = "sign the document with `dpm keys sign` if it is yours; if not, someone else can write to the store"


@dataclass(frozen=True, slots=True)
class DocumentSignature:
    """The signature in a document, verified or not.

    ring, time: as in the attributes. signer: key id in hex. value: the bytes of the signature.
    """

    ring: str
    signer: str
    time: str
    value: bytes


def is_signed(element: ET.Element) -> bool:
    """Whether there is a signature in ``element``, valid or not, at any depth."""
    return any(True for _ in element.iter(SIGNATURE))


def signature_of(element: ET.Element) -> DocumentSignature:
    """The signature of a document, not verified. `DocumentSignatureError` if there is none, or it cannot be read."""
    found = list(element.iter(SIGNATURE))
    if not found:
        raise DocumentSignatureError("the document is not signed", reason="unsigned", hint=_SIGN_HINT)
    signature = found[0]
    if len(found) > 1:
        _malformed("the document has more than one signature")
    if element[-1:] != [signature]:
        _malformed("the signature is not the last child of the document")
    if len(signature) or signature.attrib.keys() != _ATTRIBUTES:
        _malformed("the signature has children, or other attributes than those of a signature")
    if signature.attrib["version"] != _VERSION:
        _malformed(f"the signature has version {printable(signature.attrib['version'], 20)}, which is not supported")
    if not _KEY_ID.fullmatch(signature.attrib["signer"]):
        _malformed("the signer is not a key id")
    try:
        Instant.parse(signature.attrib["time"])
        text = (signature.text or "").strip(WHITE_SPACE)
        value = b64decode(text, validate=True)
    except ValueError:
        _malformed("the time or the value of the signature cannot be read")
    if b64encode(value).decode() != text:
        _malformed("the value of the signature is not canonical base64")
    return DocumentSignature(signature.attrib["ring"], signature.attrib["signer"], signature.attrib["time"], value)


def signed_bytes(element: ET.Element, ring: str, signer: str, time: str) -> bytes:
    """The bytes that are signed.

    element: the document. ring: the ring's name. signer: key id in hex. time: as written in the document.
    """
    document = canonical(element, frozenset({SIGNATURE}))
    parts = (_DOMAIN, _VERSION.encode(), ring.encode(), bytes.fromhex(signer), time.encode(), document)
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def _malformed(problem: str) -> NoReturn:
    raise DocumentSignatureError(problem, reason="malformed_signature", hint=_SIGN_HINT)


# --- verifying ----------------------------------------------------------------------------------------------


class TrustedSigners:
    """A `DocumentVerifier` with the public keys that may sign documents of one ring; several, so that signers rotate.

    keys: public keys, pinned. ring: the ring's name; a document signed for another ring is refused.
    """

    def __init__(self, keys: Iterable[PublicKey], *, ring: str) -> None:
        self._keys: Mapping[str, PublicKey] = {key_id_of(checked_key(key)): key for key in keys}
        self._ring = ring

    def including(self, signer: Signer) -> TrustedSigners:
        """The same keys and that of ``signer``: a signer trusts its own signatures."""
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
                f"the signer {signature.signer[:16]}… is not trusted", reason="unknown_signer", hint=_SIGN_HINT
            )
        try:
            verify_bytes(key, signature.value, signed_bytes(element, signature.ring, signature.signer, signature.time))
        except InvalidSignature:
            raise DocumentSignatureError(
                "the document was changed after it was signed", reason="bad_signature", hint=_SIGN_HINT
            ) from None
        if signature.ring != self._ring:
            raise DocumentSignatureError(
                f"the document was signed for the ring {printable(signature.ring)}, not for {printable(self._ring)}",
                reason="wrong_ring",
                hint="check that ring= is the same as for the signer, and that the document is not from another ring",
            )

    def __repr__(self) -> str:
        return f"<TrustedSigners of {printable(self._ring)}: {', '.join(key[:16] for key in self._keys)}>"


# --- signing ------------------------------------------------------------------------------------------------


class RingSigner(HidesLocals):
    """A `DocumentSigner` for one ring. signer: has the key. ring: the ring's name."""

    def __init__(self, signer: Signer, *, ring: str) -> None:
        checked_key(signer.public_key)
        self._signer = signer
        self._ring = ring

    @property
    def path(self) -> Path | None:
        """The file of the private key, if it came from one."""
        path: Path | None = getattr(self._signer, "path", None)
        return path

    def sign(self, element: ET.Element, now: datetime) -> None:
        """Append the signature to ``element``; it replaces those among its children. ``now`` is the signing time.

        The element is signed as a reader will read it, not as it is in memory: a carriage return in a reason is read as
        a line feed, and a character that XML cannot contain is a `MalformedDocumentError` here. The signature is
        verified at once, in case a key service signs in another way.
        """
        for old in element.findall(SIGNATURE):
            element.remove(old)
        if is_signed(element):
            _malformed("the document has a signature that is not among its children")
        key_id = key_id_of(self._signer.public_key)
        time = str(Instant.of(now))
        data = signed_bytes(parse(dump(element)), self._ring, key_id, time)
        try:
            value = self._signer.sign(data)
        except Exception as error:  # noqa: BLE001 (the user's own signer may raise anything)
            raise DocumentSignatureError(
                f"the signer did not sign: {type(error).__name__}",
                reason="not_signed",
                hint="check the module or service that holds the signer's key",
            ) from None
        try:
            verify_bytes(self._signer.public_key, value, data)
        except InvalidSignature:
            raise ConfigurationError(
                "the signer's signature does not match its public key",
                hint="use a salt of 32 bytes for RSA-PSS, and the DER form for ECDSA",
            ) from None
        attributes = {"version": _VERSION, "ring": self._ring, "signer": key_id, "time": time}
        ET.SubElement(element, SIGNATURE, attributes).text = b64encode(value).decode()

    def __repr__(self) -> str:
        return f"<RingSigner of {printable(self._ring)}: {self._signer!r}>"
