"""Who may put a key or a revocation into a ring: documents are signed, and verified before anything is unwrapped.

The signature is one element, the last child of ``<key>`` or ``<revocation>``, without children; .NET passes over it::

    <signature xmlns="urn:dpmiddleware:2026:keys" version="1" ring="shop" signer="{64 hex}" time="2026-…Z">base64</signature>

    signed   := field("dpmiddleware.DocumentSignature") ‖ field(version) ‖ field(ring) ‖ field(key id) ‖ field(time)
                ‖ field(canonical form of the document without its signature)
    field(b) := BE32(length in bytes) ‖ b                      texts as UTF-8, version and time as they stand in the document
    key id   := SHA-256 of the signer's public key as DER SubjectPublicKeyInfo (32 bytes; hex in ``signer``)

The algorithm is that of the trusted key, never the document's: Ed25519; RSA-PSS with SHA-256, MGF1-SHA-256 and a salt
of 32 bytes; ECDSA P-256 with SHA-256, DER. Keys are pinned: of a certificate only its public key counts, no chain, no
validity. The canonical form is that of `dpmiddleware.keys.xml`.

Before: `dpmiddleware.keys.document`. After: unwrapping (`dpmiddleware.at_rest`).
"""

from __future__ import annotations

import hashlib
import re
import xml.etree.ElementTree as ET
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, NoReturn, Protocol, TypeAlias

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from dpmiddleware.at_rest.sources import PartURL, read_file, read_reference
from dpmiddleware.errors import ConfigurationError, DocumentSignatureError, KeyManagementError
from dpmiddleware.instants import Instant
from dpmiddleware.keys.xml import SIGNATURE, canonical
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

PublicKey: TypeAlias = ed25519.Ed25519PublicKey | rsa.RSAPublicKey | ec.EllipticCurvePublicKey
_DOMAIN: Final = b"dpmiddleware.DocumentSignature"
_VERSION: Final = "1"
_ATTRIBUTES: Final = frozenset({"version", "ring", "signer", "time"})
_MIN_RSA_BITS: Final = 2048
_PSS: Final = padding.PSS(padding.MGF1(hashes.SHA256()), salt_length=32)
_KEY_ID: Final = re.compile("[0-9a-f]{64}")
_SIGN_HINT: Final = "if this document is yours: dpm keys sign; if not, somebody else can write to the store"


class Signer(Protocol):
    """A private key that may lie anywhere: a file, a hardware module, a key service. Yours need these two members."""

    @property
    def public_key(self) -> PublicKey:
        """The public half. It decides the algorithm (see the module's text)."""
        ...

    def sign(self, data: bytes) -> bytes:
        """The signature over ``data``: 64 bytes Ed25519, RSA-PSS as long as the modulus, or ECDSA in DER."""
        ...


@dataclass(frozen=True, slots=True)
class DocumentSignature:
    """A signature as it stands in a document, verified or not. ``signer``: key id in hex. ``value``: its bytes."""

    ring: str
    signer: str
    time: str
    value: bytes


def key_id_of(key: PublicKey) -> str:
    """The id of a signer: SHA-256 of its public key (DER SubjectPublicKeyInfo) in hex."""
    spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).hexdigest()


def is_signed(element: ET.Element) -> bool:
    """Whether there is anything like a signature in ``element``, good or bad, wherever it stands."""
    return any(True for _ in element.iter(SIGNATURE))


def signature_of(element: ET.Element) -> DocumentSignature:
    """The signature of a document, not yet verified. `DocumentSignatureError`: ``unsigned``, ``malformed_signature``."""
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
        value = b64decode((signature.text or "").strip(), validate=True)
    except ValueError:
        _malformed("time or value of the signature cannot be read")
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
        self._keys: Mapping[str, PublicKey] = {key_id_of(_checked(key)): key for key in keys}
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
        """Return if a trusted key signed ``element`` for this ring; else `DocumentSignatureError` with its ``reason``."""
        signature = signature_of(element)
        key = self._keys.get(signature.signer)
        if key is None:
            raise DocumentSignatureError(
                f"signed by {signature.signer[:16]}…, who is not trusted here", reason="unknown_signer", hint=_SIGN_HINT
            )
        try:
            _verify(key, signature.value, signed_bytes(element, signature.ring, signature.signer, signature.time))
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

    def __len__(self) -> int:
        return len(self._keys)

    def __repr__(self) -> str:
        return f"<TrustedSigners of {printable(self._ring)}: {', '.join(key[:16] for key in self._keys)}>"


def _verify(key: PublicKey, signature: bytes, data: bytes) -> None:
    if isinstance(key, ed25519.Ed25519PublicKey):
        key.verify(signature, data)
    elif isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, data, _PSS, hashes.SHA256())
    else:
        key.verify(signature, data, ec.ECDSA(hashes.SHA256()))


def _checked(key: object) -> PublicKey:
    """``key`` if it is one that documents can be signed with."""
    if isinstance(key, ed25519.Ed25519PublicKey):
        return key
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= _MIN_RSA_BITS:
        return key
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return key
    raise ConfigurationError(
        "documents cannot be signed with this kind of key",
        hint="use Ed25519, RSA of 2048 bits or more, or ECDSA P-256",
    )


def load_public_keys(path: str | Path) -> list[PublicKey]:
    """The public keys in a file: PEM keys and certificates (several), or one of them as DER. `ConfigurationError`."""
    data = read_file(path, "trusted signer")
    blocks = re.findall(rb"-----BEGIN [A-Z0-9 ]+-----.*?-----END [A-Z0-9 ]+-----", data, re.DOTALL)
    keys: list[PublicKey] = []
    for block in blocks or [data]:
        if b"PRIVATE KEY-----" in block:
            raise ConfigurationError(
                f"trusted signer: {printable(path)} holds a private key",
                hint="openssl pkey -in FILE -pubout; who only verifies has no use for the private one",
            )
        keys.append(_checked(_load_public_key(block, path)))
    return keys


def _load_public_key(block: bytes, path: str | Path) -> object:
    try:
        if block.startswith(b"-----BEGIN CERTIFICATE"):
            return x509.load_pem_x509_certificate(block).public_key()
        if block.startswith(b"-----"):
            return serialization.load_pem_public_key(block)
        try:
            return serialization.load_der_public_key(block)
        except ValueError:
            return x509.load_der_x509_certificate(block).public_key()
    except Exception:  # noqa: BLE001 (cryptography has no common base for keys it cannot read)
        problem = f"trusted signer: {printable(path)} holds no public key or certificate that can be read"
        raise ConfigurationError(problem, hint="PEM or DER, SubjectPublicKeyInfo or X.509") from None


# --- signing ------------------------------------------------------------------------------------------------


class RingSigner:
    """Signs the documents of one ring: a `DocumentSigner`. signer: whose key. ring: the ring's name."""

    def __init__(self, signer: Signer, *, ring: str) -> None:
        _checked(signer.public_key)
        self._signer = signer
        self._ring = ring

    def sign(self, element: ET.Element, now: datetime) -> None:
        """Append the signature to ``element``, in place of those among its children; ``now`` is the signing time.

        What was signed is verified at once, so a hardware or service key of another kind is found here.
        """
        for old in element.findall(SIGNATURE):
            element.remove(old)
        if is_signed(element):
            _malformed("a signature lies deeper in the document")
        key_id = key_id_of(self._signer.public_key)
        time = str(Instant.of(now))
        data = signed_bytes(element, self._ring, key_id, time)
        value = self._signer.sign(data)
        try:
            _verify(self._signer.public_key, value, data)
        except InvalidSignature:
            raise KeyManagementError(
                "the signer's signature does not fit its public key", hint="RSA-PSS salt of 32 bytes, ECDSA in DER?"
            ) from None
        attributes = {"version": _VERSION, "ring": self._ring, "signer": key_id, "time": time}
        ET.SubElement(element, SIGNATURE, attributes).text = b64encode(value).decode()

    def __repr__(self) -> str:
        return f"<RingSigner of {printable(self._ring)}: {self._signer!r}>"


class _PrivateKeySigner:
    """What signers with a private key in memory have in common: made from PEM, never pickled, shown by their id."""

    _scheme: str
    public_key: PublicKey

    @classmethod
    def _load(cls, path: str | Path, password: bytes | None) -> object:
        data = read_file(path, "signer")
        try:
            return serialization.load_pem_private_key(data, password)
        except Exception:  # noqa: BLE001 (see _load_public_key)
            problem = f"signer: {printable(path)} holds no private key that can be read"
            raise ConfigurationError(problem, hint="PEM; with ?password=env:NAME or a file where encrypted") from None

    @classmethod
    def _load_url(cls, url: str) -> object:
        parts = PartURL.parse(url, options=frozenset({"password"}))
        reference = parts.options.get("password")
        password = read_reference(reference, "signer's password").rstrip(b"\r\n") if reference is not None else None
        return cls._load(parts.file(), password)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {key_id_of(self.public_key)[:16]}…>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a signer is not for pickling or copying")


class Ed25519Signer(_PrivateKeySigner):
    """Signs with an Ed25519 private key: the default."""

    def __init__(self, key: ed25519.Ed25519PrivateKey) -> None:
        self._key = key
        self.public_key = key.public_key()

    @classmethod
    def from_url(cls, url: str) -> Ed25519Signer:
        """``ed25519:///path/signer.pem[?password=env:NAME]`` (PKCS#8). Reads the file; `ConfigurationError`."""
        key = cls._load_url(url)
        if not isinstance(key, ed25519.Ed25519PrivateKey):
            raise ConfigurationError("the signer is no Ed25519 key", hint="openssl genpkey -algorithm ed25519")
        return cls(key)

    def sign(self, data: bytes) -> bytes:
        """64 bytes."""
        return self._key.sign(data)


class RsaPssSigner(_PrivateKeySigner):
    """Signs with an RSA private key of 2048 bits or more (RSA-PSS, SHA-256)."""

    def __init__(self, key: rsa.RSAPrivateKey) -> None:
        self._key = key
        self.public_key = key.public_key()

    def sign(self, data: bytes) -> bytes:
        """As long as the modulus."""
        return self._key.sign(data, _PSS, hashes.SHA256())


class EcdsaSigner(_PrivateKeySigner):
    """Signs with an ECDSA P-256 private key (SHA-256)."""

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._key = key
        self.public_key = key.public_key()

    def sign(self, data: bytes) -> bytes:
        """A DER sequence of r and s."""
        return self._key.sign(data, ec.ECDSA(hashes.SHA256()))
