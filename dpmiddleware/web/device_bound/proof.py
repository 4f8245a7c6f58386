r"""Proofs: what a browser signs to show that it has a key. Parsing and verification, without state. ::

    proof    := base64url(header) "." base64url(payload) "." base64url(signature)        at most 8,192 characters
    header   := {"alg": "ES256" | "RS256", "typ": "dbsc+jwt" [, "jwk": key]}              JSON
    payload  := {"jti": challenge}                                                       JSON
    key      := {"crv": "P-256", "kty": "EC", "x", "y"} | {"e": "AQAB", "kty": "RSA", "n"}

A compact JWS (RFC 7515). Chromium sends it bare, the draft puts it into quotes; both are read. ES256 is ECDSA on P-256
with a signature of 64 bytes, r ‖ s; RS256 is RSA PKCS#1 v1.5 with keys of 2,048 to 4,096 bits and e = 65537 (RFC 7518).
Members that are not known are ignored, as the draft asks, except for ``crit`` and for private members of a key.

A proof contains a key only when a browser registers it. Later proofs are verified with the key that was registered,
whose algorithm is the only one that they can have; a key in such a proof is not looked at.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple, cast

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from dpmiddleware.protection import base64url

__all__ = ["ALGORITHMS", "MAX_PROOF", "DeviceKey", "Proof", "bare", "parse"]

Algorithm = Literal["ES256", "RS256"]
ALGORITHMS: Final[tuple[Algorithm, ...]] = ("ES256", "RS256")
MAX_PROOF: Final = 8192
"""Characters of a proof. One with an RSA key of 2,048 bits has about 1,150."""
_MAX_CHALLENGE: Final = 1024
_COORDINATE: Final = 32
_SMALLEST_RSA, _LARGEST_RSA = 2048, 4096
_E: Final = "AQAB"
_PRIVATE: Final = frozenset(("d", "p", "q", "dp", "dq", "qi", "oth", "k"))
_TYPE: Final = "dbsc+jwt"
_VISIBLE: Final = re.compile("[!-~]*")


class DeviceKey(NamedTuple):
    """The public key of a browser.

    algorithm: that of its signatures.
    jwk: the key as JSON: its necessary members, in alphabetical order, without white space.
    """

    algorithm: Algorithm
    jwk: str

    @classmethod
    def of(cls, jwk: object) -> DeviceKey | None:
        """The key that a parsed JWK describes; ``None`` if it is not one that is accepted."""
        if not isinstance(jwk, Mapping) or not _PRIVATE.isdisjoint(jwk):
            return None
        members = cast("Mapping[str, Any]", jwk)
        algorithm: Algorithm
        names: tuple[str, ...]
        if members.get("kty") == "EC" and members.get("crv") == "P-256":
            algorithm, names = "ES256", ("crv", "kty", "x", "y")
        elif members.get("kty") == "RSA" and members.get("e") == _E:
            algorithm, names = "RS256", ("e", "kty", "n")
        else:
            return None
        found = {name: members.get(name) for name in names}
        if members.get("alg", algorithm) != algorithm or not all(isinstance(value, str) for value in found.values()):
            return None
        key = cls(algorithm, json.dumps(found, separators=(",", ":")))
        return None if key.public is None else key

    @classmethod
    def read(cls, jwk: str, algorithm: str) -> DeviceKey | None:
        """The key that a ticket contains as text; ``None`` if it is not one that is accepted."""
        key = cls.of(_parsed(jwk.encode("utf-8", "replace"))) if len(jwk) <= MAX_PROOF else None
        return key if key is not None and key.algorithm == algorithm else None

    @property
    def public(self) -> ec.EllipticCurvePublicKey | rsa.RSAPublicKey | None:
        """The key as an object of ``cryptography``; ``None`` for numbers that are not a key."""
        members = json.loads(self.jwk)
        try:
            if self.algorithm == "ES256":
                x, y = _number(members["x"], _COORDINATE), _number(members["y"], _COORDINATE)
                return ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
            n = _number(members["n"])
            if not _SMALLEST_RSA <= n.bit_length() <= _LARGEST_RSA:
                return None
            return rsa.RSAPublicNumbers(65537, n).public_key()
        except (ValueError, UnsupportedAlgorithm):
            return None

    def signed(self, data: bytes, signature: bytes) -> bool:
        """Whether this is a signature of ``data`` under the key."""
        public = self.public
        try:
            if isinstance(public, ec.EllipticCurvePublicKey):
                if len(signature) != 2 * _COORDINATE:
                    return False
                r, s = (int.from_bytes(half, "big") for half in (signature[:_COORDINATE], signature[_COORDINATE:]))
                public.verify(utils.encode_dss_signature(r, s), data, ec.ECDSA(hashes.SHA256()))
            elif isinstance(public, rsa.RSAPublicKey):
                public.verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
            else:
                return False
        except (InvalidSignature, ValueError):
            return False
        return True


class Proof(NamedTuple):
    """A proof that is well-formed. Its signature has not been verified.

    algorithm: as its header says.
    challenge: what the server had sent.
    key: of a registration; ``None`` where there is none, or none that is accepted.
    """

    algorithm: Algorithm
    challenge: str
    key: DeviceKey | None
    signed: bytes
    signature: bytes

    def is_from(self, key: DeviceKey) -> bool:
        """Whether ``key`` has signed this proof. The algorithm is the key's, whatever the proof says."""
        return self.algorithm == key.algorithm and key.signed(self.signed, self.signature)


def parse(text: str) -> Proof | None:
    """The proof in a header ``Secure-Session-Response``; ``None`` if it is not well-formed. Nothing is verified."""
    head, body, signature = _pieces(text)
    header, payload = _members_of(head), _members_of(body)
    algorithm, challenge = header.get("alg"), payload.get("jti")
    if header.get("typ") != _TYPE or algorithm not in ALGORITHMS or "crit" in header:
        return None
    if not isinstance(challenge, str) or len(challenge) > _MAX_CHALLENGE or not _VISIBLE.fullmatch(challenge):
        return None
    signed = bare(text).rpartition(".")[0].encode("ascii")
    return Proof(algorithm, challenge, DeviceKey.of(header.get("jwk")), signed, signature)


def _pieces(text: str) -> Sequence[bytes]:
    """The three parts of a compact JWS, decoded; empty ones for text that is not one."""
    parts = bare(text).split(".") if text.isascii() and len(text) <= MAX_PROOF + 2 else []
    decoded = [base64url.decode_strict(part.encode("ascii")) or b"" for part in parts]
    return decoded if len(decoded) == 3 and all(decoded) else (b"", b"", b"")


def _members_of(data: bytes) -> dict[str, Any]:
    """The members of a JSON object; none for anything else."""
    parsed = _parsed(data)
    return parsed if isinstance(parsed, dict) else {}


def bare(text: str) -> str:
    """The value of a header, without the white space and quotes around it."""
    text = text.strip(" \t")
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text


def _parsed(data: bytes) -> object:
    """JSON in UTF-8, each member given once; ``None`` for anything else."""
    try:
        return json.loads(data.decode(), object_pairs_hook=_members, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member that is given twice")
    return members


def _refuse(constant: str) -> object:
    raise ValueError(f"{constant} is not JSON")


def _number(text: object, size: int | None = None) -> int:
    """A number of a JWK: ``size`` bytes, or by default without leading zeros. ``ValueError`` for anything else."""
    data = base64url.decode_strict(text.encode("ascii")) if isinstance(text, str) and text.isascii() else None
    if not data or (data[0] == 0 if size is None else len(data) != size):
        raise ValueError("not a number of a JWK")
    return int.from_bytes(data, "big")
