"""Authentication tickets, format 5 of ASP.NET Core: what a sign-in cookie holds once it is unprotected.

    ticket      := I32 5 ‖ str scheme ‖ I32 n ‖ identity × n ‖ properties
    identity    := str authentication type ‖ dstr name claim type ‖ dstr role claim type ‖ I32 n ‖ claim × n
                   ‖ flag [‖ str bootstrap context] ‖ flag [‖ identity actor]
    claim       := dstr type ‖ str value ‖ dstr value type ‖ dstr issuer ‖ dstr original issuer
                   ‖ I32 n ‖ (str key ‖ str value) × n
    properties  := I32 1 ‖ I32 n ‖ (str key ‖ str value) × n
    I32         := 4 bytes, little-endian, signed          flag := one byte, 00 or 01 (read: any other is 01 too)
    str         := varint length ‖ UTF-8                   varint := 7-bit groups, lowest first, at most 5
    dstr        := str, but 01 00 where the text is the default for its place

The default of a claim's type is the name claim type of its own identity, that of an original issuer is the issuer.
Reading follows ASP.NET Core 10 (bytes that are no UTF-8 become U+FFFD, what follows the properties is ignored), but
for two things: other versions of the properties are refused, not taken for none, since that would drop the expiry;
and counts are checked against the bytes that are left, actors against a depth of 32.

Before: `dpmiddleware.web.protected_cookie` (opens). After: `dpmiddleware.web.authentication` (judges).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from dpmiddleware.errors import ConfigurationError, MalformedPayloadError
from dpmiddleware.web.claims import LOCAL_AUTHORITY, Claim, ClaimTypes, ClaimValueTypes, Identity, Principal, varint
from dpmiddleware.web.ticket_properties import AuthenticationProperties

__all__ = ["AuthenticationProperties", "Claim", "ClaimTypes", "ClaimValueTypes", "Identity", "Principal", "Ticket"]

_VERSION: Final = 5
_PROPERTIES_VERSION: Final = 1
_MAX_SIZE: Final = 1 << 20
_MAX_DEPTH: Final = 32
_SMALLEST_IDENTITY: Final = 9
_SMALLEST_CLAIM: Final = 9
_SMALLEST_PAIR: Final = 2
_PLACEHOLDER: Final = "\0"
_I32: Final = struct.Struct("<i")


@dataclass(frozen=True, slots=True)
class Ticket:
    """Who signed in (``principal``), by which scheme, and on what terms (``properties``: since when, how long …)."""

    scheme: str
    principal: Principal
    properties: AuthenticationProperties = field(default_factory=AuthenticationProperties)

    def serialize(self) -> bytes:
        """The ticket in format 5. `ConfigurationError` where .NET could not read it back."""
        parts = [_i32(_VERSION), _text(self.scheme), _i32(len(self.principal.identities))]
        for identity in self.principal.identities:
            _write_identity(identity, parts)
        parts.append(_i32(_PROPERTIES_VERSION))
        _write_pairs(self.properties.items, parts)
        return b"".join(parts)

    @classmethod
    def deserialize(cls, data: bytes) -> Ticket:
        """Read format 5. `MalformedPayloadError` for anything else; never another exception."""
        if len(data) > _MAX_SIZE:
            raise MalformedPayloadError(f"a ticket of more than {_MAX_SIZE} bytes")
        reader = _Reader(data)
        if reader.i32() != _VERSION:
            raise MalformedPayloadError("not a ticket of format 5")
        scheme = reader.text()
        identities = [reader.identity() for _ in range(reader.count(_SMALLEST_IDENTITY))]
        if reader.i32() != _PROPERTIES_VERSION:
            raise MalformedPayloadError("a ticket whose properties are not of format 1")
        return cls(scheme, Principal(identities=identities), AuthenticationProperties(reader.pairs()))


class _Reader:
    """Takes a ticket apart from the front; running out of bytes is a `MalformedPayloadError`."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._depth = 0

    def take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._data):
            raise MalformedPayloadError("a ticket that ends early")
        taken, self._at = self._data[self._at : end], end
        return taken

    def i32(self) -> int:
        value: int = _I32.unpack(self.take(4))[0]
        return value

    def count(self, smallest: int) -> int:
        """A number of things that take at least ``smallest`` bytes each, and so fit into what is left."""
        number = self.i32()
        if not 0 <= number * smallest <= len(self._data) - self._at:
            raise MalformedPayloadError("a count in a ticket that cannot be")
        return number

    def text(self, default: str | None = None) -> str:
        data, start = self._data, self._at + 1
        if start <= len(data) and data[start - 1] < 0x80:  # a length of one group, as nearly all are
            end = start + data[start - 1]
            if end > len(data):
                raise MalformedPayloadError("a ticket that ends early")
            taken, self._at = data[start:end], end
        else:
            taken = self.take(self.length())
        text = taken.decode("utf-8", "replace")
        return default if default is not None and text == _PLACEHOLDER else text

    def length(self) -> int:
        size = 0
        for shift in (0, 7, 14, 21, 28):
            group = self.take(1)[0]
            size |= (group & 0x7F) << shift
            if group < 0x80:
                break
        if group >= 0x80 or size >= 1 << 31:
            raise MalformedPayloadError("a text length in a ticket that cannot be")
        return size

    def flag(self) -> bool:
        return self.take(1) != b"\0"

    def pairs(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for _ in range(self.count(_SMALLEST_PAIR)):
            key = self.text()
            if key in found:
                raise MalformedPayloadError("a property given twice in a ticket")
            found[key] = self.text()
        return found

    def identity(self) -> Identity:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise MalformedPayloadError(f"actors more than {_MAX_DEPTH} deep in a ticket")
        authentication_type = self.text()
        name_type = self.text(ClaimTypes.NAME) or ClaimTypes.NAME
        role_type = self.text(ClaimTypes.ROLE) or ClaimTypes.ROLE
        claims = tuple(self.claim(name_type) for _ in range(self.count(_SMALLEST_CLAIM)))
        context = self.text() if self.flag() else None
        actor = self.identity() if self.flag() else None
        self._depth -= 1
        return Identity(claims, authentication_type, name_type, role_type, actor, context)

    def claim(self, name_type: str) -> Claim:
        kind, value = self.text(name_type), self.text()
        value_type = self.text(ClaimValueTypes.STRING)
        issuer = self.text(LOCAL_AUTHORITY) or LOCAL_AUTHORITY
        return Claim(kind, value, value_type, issuer, self.text(issuer), self.pairs())


def _write_identity(identity: Identity, parts: list[bytes], depth: int = 1) -> None:
    if depth > _MAX_DEPTH:
        raise ConfigurationError(f"actors more than {_MAX_DEPTH} deep", hint="keep the chain of delegation in a claim")
    parts.append(_text(identity.authentication_type))
    parts.append(_text_or_default(identity.name_claim_type, ClaimTypes.NAME))
    parts.append(_text_or_default(identity.role_claim_type, ClaimTypes.ROLE))
    parts.append(_i32(len(identity.claims)))
    for claim in identity.claims:
        parts.append(_text_or_default(claim.type, identity.name_claim_type))
        parts.append(_text(claim.value))
        parts.append(_text_or_default(claim.value_type, ClaimValueTypes.STRING))
        parts.append(_text_or_default(claim.issuer, LOCAL_AUTHORITY))
        parts.append(_text_or_default(claim.original_issuer, claim.issuer))
        _write_pairs(claim.properties, parts)
    parts.append(b"\1" + _text(identity.bootstrap_context) if identity.bootstrap_context else b"\0")
    parts.append(b"\1" if identity.actor is not None else b"\0")
    if identity.actor is not None:
        _write_identity(identity.actor, parts, depth + 1)


def _write_pairs(pairs: Mapping[str, str], parts: list[bytes]) -> None:
    parts.append(_i32(len(pairs)))
    for key, value in pairs.items():
        parts.append(_text(key) + _text(value))


def _text_or_default(text: str, default: str) -> bytes:
    if text == default:
        return b"\1\0"
    if text == _PLACEHOLDER:
        raise ConfigurationError(
            "a claim type, value type or issuer that is a single NUL character",
            hint="a ticket writes its defaults so; use another text",
        )
    return _text(text)


def _text(text: str) -> bytes:
    try:
        data = text.encode()
    except UnicodeEncodeError:  # a surrogate without its other half: U+FFFD, as .NET writes it
        data = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()
    return varint(len(data)) + data


def _i32(number: int) -> bytes:
    return _I32.pack(number)
