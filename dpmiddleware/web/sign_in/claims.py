"""Claims about a user, identities with claims, and the principal that an application sees: .NET's model, immutable.

A claim states one fact about a user (name, role, e-mail) and its issuer. An identity is the result of one sign-in. A
principal is the user, with one identity or, rarely, several. Types of claims are URIs by default, as in .NET, so that
``User.Identity.Name`` and ``IsInRole`` work there with what is written here.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

from dpmiddleware.arguments import checked, explain, unchecked
from dpmiddleware.errors import WrongTypeError
from dpmiddleware.protection.payload import varint
from dpmiddleware.web.sign_in.claim_types import ClaimTypes, ClaimValueTypes

__all__ = [
    "LOCAL_AUTHORITY",
    "Claim",
    "ClaimTypes",
    "ClaimValueTypes",
    "Identity",
    "Principal",
    "identifying_claim",
    "itself",
    "setters",
]

LOCAL_AUTHORITY: Final = "LOCAL AUTHORITY"
"""The issuer of a claim if none is given."""


_WHO: Final = ("sub", ClaimTypes.NAME_IDENTIFIER, ClaimTypes.UPN)


@checked
@dataclass(frozen=True, slots=True, init=False)
class Claim:
    """One statement about a user.

    value_type: the value's type as a URI. issuer: who says so; original_issuer: who said so first ("" means issuer).
    properties: texts by name, kept and passed on. As in .NET an empty value type or issuer becomes its default.
    """

    type: str
    value: str
    value_type: str
    issuer: str
    original_issuer: str
    properties: Mapping[str, str] = field(hash=False)

    def __init__(  # noqa: PLR0917 (the fields)
        self,
        type: str,  # noqa: A002 (.NET's word)
        value: str,
        value_type: str = ClaimValueTypes.STRING,
        issuer: str = LOCAL_AUTHORITY,
        original_issuer: str = "",
        properties: Mapping[str, str] = {},
    ) -> None:
        issuer = issuer or LOCAL_AUTHORITY
        _set_type(self, type)
        _set_value(self, value)
        _set_value_type(self, value_type or ClaimValueTypes.STRING)
        _set_issuer(self, issuer)
        _set_original_issuer(self, original_issuer or issuer)
        _set_properties(self, dict(properties))


@checked
@dataclass(frozen=True, slots=True, init=False)
class Identity:
    """The claims that one sign-in established.

    authentication_type: how; empty means that nobody was authenticated. name_claim_type, role_claim_type: which of the
    claims hold the name and the roles. actor: who acts for this identity. bootstrap_context: a token kept from sign-in.
    """

    claims: tuple[Claim, ...]
    authentication_type: str
    name_claim_type: str
    role_claim_type: str
    actor: Identity | None
    bootstrap_context: str | None

    def __init__(  # noqa: PLR0917 (the fields)
        self,
        claims: Iterable[Claim] = (),
        authentication_type: str = "",
        name_claim_type: str = ClaimTypes.NAME,
        role_claim_type: str = ClaimTypes.ROLE,
        actor: Identity | None = None,
        bootstrap_context: str | None = None,
    ) -> None:
        _set_claims(self, tuple(claims))
        _set_authentication_type(self, authentication_type)
        _set_name_claim_type(self, name_claim_type or ClaimTypes.NAME)
        _set_role_claim_type(self, role_claim_type or ClaimTypes.ROLE)
        _set_actor(self, actor)
        _set_bootstrap_context(self, bootstrap_context)

    @property
    def is_authenticated(self) -> bool:
        """Whether somebody established who this is."""
        return bool(self.authentication_type)

    @property
    def name(self) -> str | None:
        """The value of the first name claim."""
        return next((claim.value for claim in self.claims if claim.type == self.name_claim_type), None)

    @property
    def roles(self) -> tuple[str, ...]:
        """The values of all role claims, in order."""
        return tuple(claim.value for claim in self.claims if claim.type == self.role_claim_type)


@checked
@dataclass(frozen=True, slots=True, init=False)
class Principal:
    """The user of a request.

    >>> ada = Principal("ada", roles=["admin"], claims={"email": "ada@shop.example"})
    >>> ada.name, ada.is_in_role("admin"), ada.value("email")
    ('ada', True, 'ada@shop.example')
    """

    identities: tuple[Identity, ...]

    def __init__(
        self,
        name: str | None = None,
        *,
        roles: Iterable[str] = (),
        claims: Mapping[str, object] | Iterable[Claim] = (),
        authentication_type: str = "Cookies",
        identities: Iterable[Identity] | None = None,
    ) -> None:
        """A user with one identity, or with the given ones. Without arguments: an anonymous user.

        name: the name claim.
        roles: the role claims.
        claims: further claims: type → value, or `Claim` objects.
        authentication_type: of the identity.
        identities: the identities themselves, instead of all that.
        """
        own = _claims(name, roles, claims) if name is not None or roles or claims else ()
        if identities is None:
            identities = (_identity(own, authentication_type),) if own else ()
        elif own:
            raise WrongTypeError(
                "a principal has either identities, or a name, roles and claims", hint="pass only one of them"
            )
        _set_identities(self, tuple(identities))

    def __iter__(self) -> Iterator[Claim]:
        """All claims of all identities, in order."""
        return (claim for identity in self.identities for claim in identity.claims)

    @property
    def itself(self) -> Principal:
        """The same object. Asked of a lazy proxy such as Flask's ``current_principal``: the principal behind it."""
        return self

    @property
    def identity(self) -> Identity | None:
        """The first identity, which ``name`` and ``is_authenticated`` use."""
        return self.identities[0] if self.identities else None

    @property
    def is_authenticated(self) -> bool:
        """Whether the first identity is authenticated."""
        return bool(self.identities) and self.identities[0].is_authenticated

    @property
    def name(self) -> str | None:
        """The name of the first identity, or ``None``."""
        return self.identities[0].name if self.identities else None

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles of all identities, in order."""
        return tuple(role for identity in self.identities for role in identity.roles)

    def is_in_role(self, role: str) -> bool:
        """Whether any identity has this role, compared exactly."""
        return role in self.roles

    def value(self, claim_type: str) -> str | None:
        """The value of the first claim of a type, or ``None``."""
        for identity in self.identities:
            for claim in identity.claims:
                if claim.type == claim_type:
                    return claim.value
        return None

    def values(self, claim_type: str) -> tuple[str, ...]:
        """The values of all claims of a type, in order."""
        return tuple(claim.value for claim in self if claim.type == claim_type)

    @property
    def subject(self) -> str | None:
        """One text that identifies the user, and that does not change with roles; ``None`` if anonymous.

        base64(SHA-256(type ‖ value ‖ issuer)), each with its length in front as in a ticket, of the first non-empty
        claim ``sub``, ``NameIdentifier`` or ``Upn`` of an authenticated identity, as ASP.NET Core's antiforgery
        computes it. If there is no such claim, the name is used, and without a name all claims, sorted.
        """
        known = [identity for identity in self.identities if identity.is_authenticated]
        for identity in known:
            claim = identifying_claim(identity, identity.name_claim_type)
            if claim is not None:
                return _digest([claim])
        return _digest(sorted((c for i in known for c in i.claims), key=_fields)) if known else None


def identifying_claim(identity: Identity, *more: str) -> Claim | None:
    """The claim that identifies the user: the first ``sub``, ``NameIdentifier`` or ``Upn`` that is not empty.

    more: further types, which are tried last.
    """
    for kind in (*_WHO, *more):
        for claim in identity.claims:
            if claim.type == kind and claim.value:
                return claim
    return None


def setters(cls: type[Any]) -> list[Callable[[Any, Any], None]]:
    """Functions that set the fields of a frozen class, at half the cost of ``object.__setattr__``."""
    return [cls.__dict__[each.name].__set__ for each in fields(cls)]


_set_type, _set_value, _set_value_type, _set_issuer, _set_original_issuer, _set_properties = setters(Claim)
(
    _set_claims,
    _set_authentication_type,
    _set_name_claim_type,
    _set_role_claim_type,
    _set_actor,
    _set_bootstrap_context,
) = setters(Identity)
[_set_identities] = setters(Principal)


def _claims(
    name: str | None, roles: Iterable[str], claims: Mapping[str, object] | Iterable[Claim]
) -> tuple[Claim, ...]:
    """The claims of a new identity, the name first."""
    named = [] if name is None else [Claim(ClaimTypes.NAME, name)]
    held = [Claim(ClaimTypes.ROLE, role) for role in roles]
    others = [Claim(str(k), str(v)) for k, v in claims.items()] if isinstance(claims, Mapping) else list(claims)
    return (*named, *held, *others)


_identity: Final = unchecked(Identity)


def itself(principal: Principal) -> Principal:
    """The principal behind a lazy proxy, which a handler may have put into a context. `WrongTypeError`."""
    try:
        return principal.itself
    except AttributeError as error:
        raise explain(itself, error, principal=principal) from None


def _fields(claim: Claim) -> tuple[str, str, str]:
    return (claim.type, claim.value, claim.issuer)


def _digest(claims: Iterable[Claim]) -> str:
    """SHA-256 over type, value and issuer of each claim as length-prefixed UTF-8, in base64."""
    digest = hashlib.sha256()
    for text in (text for claim in claims for text in _fields(claim)):
        data = text.encode("utf-8", "surrogatepass")
        digest.update(varint(len(data)) + data)
    return b64encode(digest.digest()).decode()
