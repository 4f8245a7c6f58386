"""Authentication tickets in format 5 of ASP.NET Core: the plaintext of a sign-in cookie.

    ticket      := I32 5 ‖ str scheme ‖ I32 n ‖ identity × n ‖ properties
    identity    := str authentication type ‖ dstr name claim type ‖ dstr role claim type ‖ I32 n ‖ claim × n
                   ‖ flag [‖ str bootstrap context] ‖ flag [‖ identity actor]
    claim       := dstr type ‖ str value ‖ dstr value type ‖ dstr issuer ‖ dstr original issuer
                   ‖ I32 n ‖ (str key ‖ str value) × n
    properties  := I32 1 ‖ I32 n ‖ (str key ‖ str value) × n
    I32         := 4 bytes, little-endian, signed          flag := one byte, 00 or 01 (read: any other is 01 too)
    str         := varint length ‖ UTF-8                   varint := 7-bit groups, lowest first, at most 5
    dstr        := str, but 01 00 if the text is the default of its field

The default of a claim's type is the name claim type of its identity; that of an original issuer is the issuer.
Reading follows ASP.NET Core 10: bytes that are not UTF-8 become U+FFFD, and what follows the properties is ignored.
There are two exceptions. Other versions of the properties are refused instead of being read as empty, because that
would drop the expiry. Counts are limited by the number of bytes that are left, and actors by a depth of 32.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from inspect import unwrap
from typing import Final

from dpmiddleware import compiled
from dpmiddleware.arguments import unchecked
from dpmiddleware.errors import ConfigurationError, MalformedPayloadError
from dpmiddleware.protection.payload import varint
from dpmiddleware.web.sign_in.claims import (
    LOCAL_AUTHORITY,
    Claim,
    ClaimTypes,
    ClaimValueTypes,
    Identity,
    Principal,
    setters,
)
from dpmiddleware.web.sign_in.properties import AuthenticationProperties

__all__ = ["AuthenticationProperties", "Claim", "ClaimTypes", "ClaimValueTypes", "Identity", "Principal", "Ticket"]

_I32: Final = struct.Struct("<i")
_VERSION: Final = _I32.pack(5)
_PROPERTIES_VERSION: Final = 1
_MAX_SIZE: Final = 1 << 20
_MAX_DEPTH: Final = 32
_SMALLEST_IDENTITY: Final = 9
_SMALLEST_CLAIM: Final = 9
_SMALLEST_PAIR: Final = 2
_PLACEHOLDER: Final = "\0"
_NOT_SAID: Final = ("", _PLACEHOLDER)
_ALL_DEFAULTS: Final = b"\1\0" * 3 + bytes(4)
"""What follows the value of nearly every claim: three defaults and no properties."""


@dataclass(frozen=True, slots=True, init=False)
class Ticket:
    """A sign-in: the scheme, the principal, and properties such as its dates."""

    scheme: str
    principal: Principal
    properties: AuthenticationProperties

    def __init__(self, scheme: str, principal: Principal, properties: AuthenticationProperties | None = None) -> None:
        _set_scheme(self, scheme)
        _set_principal(self, principal)
        _set_properties(self, AuthenticationProperties() if properties is None else properties)

    @property
    def authenticated_at(self) -> datetime | None:
        """When the user authenticated (`AuthenticationProperties.authenticated_utc`); ``None`` if that is not said."""
        return self.properties.authenticated_utc

    def serialize(self) -> bytes:
        """Write the ticket in format 5. `ConfigurationError` if it could not be read."""
        data = _write_ordinary(self) or self._serialize()
        if len(data) > _MAX_SIZE:
            raise ConfigurationError(
                f"a ticket of {len(data)} bytes; at most {_MAX_SIZE} are read",
                hint="keep fewer claims in it; look up the others when they are needed",
            )
        return data

    def _serialize(self) -> bytes:
        parts = [_VERSION, _text(self.scheme), _i32(len(self.principal.identities))]
        for identity in self.principal.identities:
            _write_identity(identity, parts)
        parts.append(_i32(_PROPERTIES_VERSION))
        _write_pairs(self.properties.items, parts)
        return b"".join(parts)

    @classmethod
    def deserialize(cls, data: bytes) -> Ticket:
        """Read format 5. Anything else is a `MalformedPayloadError`."""
        if len(data) > _MAX_SIZE:
            raise MalformedPayloadError(f"a ticket of more than {_MAX_SIZE} bytes")
        if not data.startswith(_VERSION):
            raise MalformedPayloadError("not a ticket of format 5")
        try:
            return _read_ordinary(data) or _Reader(data, len(_VERSION)).ticket()
        except (IndexError, struct.error):
            raise MalformedPayloadError("a ticket that ends early") from None


_set_scheme, _set_principal, _set_properties = setters(Ticket)


def _compiled() -> tuple[Callable[[bytes], Ticket | None], Callable[[Ticket], bytes | None]]:
    """Read and write ordinary tickets in a fifth of the time. ``None`` for others, or if there is no compiled core."""
    core = compiled.load("web.sign_in._ticket")
    if core is not None:
        classes = (Claim, Identity, Principal, Ticket, AuthenticationProperties)
        defaults = (ClaimTypes.NAME, ClaimTypes.ROLE, ClaimValueTypes.STRING, LOCAL_AUTHORITY)
        with suppress(ValueError):  # it was built for classes with other fields: Python reads and writes
            codec = core.Codec(*classes, *defaults)
            return codec.read, codec.write
    return lambda _: None, lambda _: None


_read_ordinary, _write_ordinary = _compiled()


_new, _initialize_claim = object.__new__, unwrap(Claim.__init__)
_identity, _principal = unchecked(Identity), unchecked(Principal)
_properties = unchecked(AuthenticationProperties)


class _Reader:
    """Reads a ticket from the front. If it ends early: ``IndexError`` or ``struct.error``."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self._at = at

    def ticket(self) -> Ticket:
        [scheme] = self.texts(1)
        identities = [self.identity() for _ in range(self.count(_SMALLEST_IDENTITY))]
        if self.i32() != _PROPERTIES_VERSION:
            raise MalformedPayloadError("a ticket whose properties are not of format 1")
        return Ticket(scheme, _principal(identities=identities), _properties(self.pairs()))

    def i32(self) -> int:
        value: int
        (value,) = _I32.unpack_from(self._data, self._at)
        self._at += 4
        return value

    def count(self, smallest: int) -> int:
        """A count of items that take at least ``smallest`` bytes each. It is limited by the bytes that are left."""
        number = self.i32()
        if not 0 <= number * smallest <= len(self._data) - self._at:
            raise MalformedPayloadError("a count in a ticket that cannot be")
        return number

    def flag(self) -> bool:
        self._at += 1
        return self._data[self._at - 1] != 0

    def texts(self, number: int) -> list[str]:
        found: list[str] = []
        data, at = self._data, self._at
        for _ in range(number):
            start = at + 1
            end = start + data[at]
            if data[at] > 0x7F:  # more than one group, as few are
                start, end = _long_text(data, at)
            found.append(data[start:end].decode("utf-8", "replace"))
            at = end
        if at > len(data):
            raise IndexError
        self._at = at
        return found

    def pairs(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for _ in range(self.count(_SMALLEST_PAIR)):
            key, value = self.texts(2)
            if key in found:
                raise MalformedPayloadError("a property given twice in a ticket")
            found[key] = value
        return found

    def identity(self, depth: int = 1) -> Identity:
        if depth > _MAX_DEPTH:
            raise MalformedPayloadError(f"actors more than {_MAX_DEPTH} deep in a ticket")
        authentication_type, name_type, role_type = self.texts(3)
        name_type = ClaimTypes.NAME if name_type in _NOT_SAID else name_type
        role_type = ClaimTypes.ROLE if role_type in _NOT_SAID else role_type
        claims = [self.claim(name_type) for _ in range(self.count(_SMALLEST_CLAIM))]
        context = self.texts(1)[0] if self.flag() else None
        actor = self.identity(depth + 1) if self.flag() else None
        return _identity(claims, authentication_type, name_type, role_type, actor, context)

    def claim(self, name_type: str) -> Claim:
        kind, value, *rest = self.texts(5)
        value_type, issuer, original = ("" if text == _PLACEHOLDER else text for text in rest)
        claim: Claim = _new(Claim)  # past its checks
        _initialize_claim(
            claim, name_type if kind == _PLACEHOLDER else kind, value, value_type, issuer, original, self.pairs()
        )
        return claim


def _long_text(data: bytes, at: int) -> tuple[int, int]:
    """Start and end of a text whose length, at ``at``, has up to five groups."""
    size = 0
    for shift in (0, 7, 14, 21, 28):
        group = data[at]
        at += 1
        size |= (group & 0x7F) << shift
        if group < 0x80:
            break
    if group >= 0x80 or size >= 1 << 31:
        raise MalformedPayloadError("a text length in a ticket that cannot be")
    return at, at + size


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
        _write_rest(claim, parts)
    parts.append(b"\1" + _text(identity.bootstrap_context) if identity.bootstrap_context else b"\0")
    parts.append(b"\1" if identity.actor is not None else b"\0")
    if identity.actor is not None:
        _write_identity(identity.actor, parts, depth + 1)


def _write_rest(claim: Claim, parts: list[bytes]) -> None:
    """All but a claim's type and value."""
    is_plain = claim.value_type == ClaimValueTypes.STRING and not claim.properties
    if is_plain and claim.issuer == claim.original_issuer == LOCAL_AUTHORITY:
        parts.append(_ALL_DEFAULTS)
        return
    parts.append(_text_or_default(claim.value_type, ClaimValueTypes.STRING))
    parts.append(_text_or_default(claim.issuer, LOCAL_AUTHORITY))
    parts.append(_text_or_default(claim.original_issuer, claim.issuer))
    _write_pairs(claim.properties, parts)


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
