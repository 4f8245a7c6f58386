"""A browser's key in software: makes proofs as Chromium 156 does, and wrong ones."""

from __future__ import annotations

import json
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from dpmiddleware.protection.base64url import encode

__all__ = ["Device", "quoted", "rsa_jwk"]


def quoted(text: str) -> str:
    """As the draft writes it."""
    return f'"{text}"'


def rsa_jwk(key: rsa.RSAPrivateKey) -> dict[str, str]:
    public = key.public_key().public_numbers()
    e, n = (encode(number.to_bytes((number.bit_length() + 7) // 8, "big")) for number in (public.e, public.n))
    return {"e": e, "kty": "RSA", "n": n}


class Device:
    """A key pair, ES256 or RS256."""

    def __init__(self, algorithm: str = "ES256", key: ec.EllipticCurvePrivateKey | None = None) -> None:
        self.algorithm = algorithm
        self.jwk: dict[str, Any]
        if algorithm == "ES256":
            self.key: Any = key or ec.generate_private_key(ec.SECP256R1())
            public = self.key.public_key().public_numbers()
            x, y = (encode(number.to_bytes(32, "big")) for number in (public.x, public.y))
            self.jwk = {"crv": "P-256", "kty": "EC", "x": x, "y": y}
        else:
            self.key = rsa.generate_private_key(65537, 2048)
            self.jwk = rsa_jwk(self.key)

    def registration(self, challenge: object, **changed: Any) -> str:
        """With the key. ``changed``: members of the header that differ; ``None``: left out."""
        return self.signed({"alg": self.algorithm, "jwk": self.jwk, "typ": "dbsc+jwt", **changed}, {"jti": challenge})

    def refresh(self, challenge: object, **changed: Any) -> str:
        """Without the key."""
        return self.signed({"alg": self.algorithm, "typ": "dbsc+jwt", **changed}, {"jti": challenge})

    def signed(self, header: dict[str, Any], payload: Any) -> str:
        if isinstance(payload, dict):
            payload = {name: value for name, value in payload.items() if value is not None}
        header = {name: value for name, value in header.items() if value is not None}
        signed = ".".join(encode(json.dumps(part, separators=(",", ":")).encode()) for part in (header, payload))
        return f"{signed}.{encode(self.signature(signed.encode()))}"

    def signature(self, data: bytes) -> bytes:
        if self.algorithm == "RS256":
            made: bytes = self.key.sign(data, padding.PKCS1v15(), hashes.SHA256())
            return made
        r, s = utils.decode_dss_signature(self.key.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")
