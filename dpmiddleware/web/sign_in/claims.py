"""Claims about a user, identities that hold them, and the principal that an application sees: .NET's model, immutable.

A claim says one thing about a user (name, role, e-mail) and who said so; an identity is what one sign-in established;
a principal is the user: one identity, rarely several. Type names are URIs by default, as in .NET, so that
``User.Identity.Name`` and ``IsInRole`` find there what was written here.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

from dpmiddleware.protection.payload import varint

__all__ = ["LOCAL_AUTHORITY", "Claim", "ClaimTypes", "ClaimValueTypes", "Identity", "Principal", "setters"]

LOCAL_AUTHORITY: Final = "LOCAL AUTHORITY"
"""The issuer of a claim that names none."""

_XMLSOAP: Final = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/"
_MICROSOFT: Final = "http://schemas.microsoft.com/ws/2008/06/identity/claims/"
_XSD: Final = "http://www.w3.org/2001/XMLSchema#"


class ClaimTypes:
    """.NET's ``System.Security.Claims.ClaimTypes``."""

    AUTHENTICATION_INSTANT: Final = _MICROSOFT + "authenticationinstant"
    AUTHENTICATION_METHOD: Final = _MICROSOFT + "authenticationmethod"
    COOKIE_PATH: Final = _MICROSOFT + "cookiepath"
    DENY_ONLY_PRIMARY_SID: Final = _MICROSOFT + "denyonlyprimarysid"
    DENY_ONLY_PRIMARY_GROUP_SID: Final = _MICROSOFT + "denyonlyprimarygroupsid"
    DENY_ONLY_WINDOWS_DEVICE_GROUP: Final = _MICROSOFT + "denyonlywindowsdevicegroup"
    DSA: Final = _MICROSOFT + "dsa"
    EXPIRATION: Final = _MICROSOFT + "expiration"
    EXPIRED: Final = _MICROSOFT + "expired"
    GROUP_SID: Final = _MICROSOFT + "groupsid"
    IS_PERSISTENT: Final = _MICROSOFT + "ispersistent"
    PRIMARY_GROUP_SID: Final = _MICROSOFT + "primarygroupsid"
    PRIMARY_SID: Final = _MICROSOFT + "primarysid"
    ROLE: Final = _MICROSOFT + "role"
    SERIAL_NUMBER: Final = _MICROSOFT + "serialnumber"
    USER_DATA: Final = _MICROSOFT + "userdata"
    VERSION: Final = _MICROSOFT + "version"
    WINDOWS_ACCOUNT_NAME: Final = _MICROSOFT + "windowsaccountname"
    WINDOWS_DEVICE_CLAIM: Final = _MICROSOFT + "windowsdeviceclaim"
    WINDOWS_DEVICE_GROUP: Final = _MICROSOFT + "windowsdevicegroup"
    WINDOWS_USER_CLAIM: Final = _MICROSOFT + "windowsuserclaim"
    WINDOWS_FQBN_VERSION: Final = _MICROSOFT + "windowsfqbnversion"
    WINDOWS_SUB_AUTHORITY: Final = _MICROSOFT + "windowssubauthority"
    ANONYMOUS: Final = _XMLSOAP + "anonymous"
    AUTHENTICATION: Final = _XMLSOAP + "authentication"
    AUTHORIZATION_DECISION: Final = _XMLSOAP + "authorizationdecision"
    COUNTRY: Final = _XMLSOAP + "country"
    DATE_OF_BIRTH: Final = _XMLSOAP + "dateofbirth"
    DNS: Final = _XMLSOAP + "dns"
    DENY_ONLY_SID: Final = _XMLSOAP + "denyonlysid"
    EMAIL: Final = _XMLSOAP + "emailaddress"
    GENDER: Final = _XMLSOAP + "gender"
    GIVEN_NAME: Final = _XMLSOAP + "givenname"
    HASH: Final = _XMLSOAP + "hash"
    HOME_PHONE: Final = _XMLSOAP + "homephone"
    LOCALITY: Final = _XMLSOAP + "locality"
    MOBILE_PHONE: Final = _XMLSOAP + "mobilephone"
    NAME: Final = _XMLSOAP + "name"
    NAME_IDENTIFIER: Final = _XMLSOAP + "nameidentifier"
    OTHER_PHONE: Final = _XMLSOAP + "otherphone"
    POSTAL_CODE: Final = _XMLSOAP + "postalcode"
    RSA: Final = _XMLSOAP + "rsa"
    SID: Final = _XMLSOAP + "sid"
    SPN: Final = _XMLSOAP + "spn"
    STATE_OR_PROVINCE: Final = _XMLSOAP + "stateorprovince"
    STREET_ADDRESS: Final = _XMLSOAP + "streetaddress"
    SURNAME: Final = _XMLSOAP + "surname"
    SYSTEM: Final = _XMLSOAP + "system"
    THUMBPRINT: Final = _XMLSOAP + "thumbprint"
    UPN: Final = _XMLSOAP + "upn"
    URI: Final = _XMLSOAP + "uri"
    WEBPAGE: Final = _XMLSOAP + "webpage"
    X500_DISTINGUISHED_NAME: Final = _XMLSOAP + "x500distinguishedname"
    ACTOR: Final = "http://schemas.xmlsoap.org/ws/2009/09/identity/claims/actor"


class ClaimValueTypes:
    """.NET's ``System.Security.Claims.ClaimValueTypes``."""

    BASE64_BINARY: Final = _XSD + "base64Binary"
    BASE64_OCTET: Final = _XSD + "base64Octet"
    BOOLEAN: Final = _XSD + "boolean"
    DATE: Final = _XSD + "date"
    DATE_TIME: Final = _XSD + "dateTime"
    DOUBLE: Final = _XSD + "double"
    FQBN: Final = _XSD + "fqbn"
    HEX_BINARY: Final = _XSD + "hexBinary"
    INTEGER: Final = _XSD + "integer"
    INTEGER32: Final = _XSD + "integer32"
    INTEGER64: Final = _XSD + "integer64"
    SID: Final = _XSD + "sid"
    STRING: Final = _XSD + "string"
    TIME: Final = _XSD + "time"
    UINTEGER32: Final = _XSD + "uinteger32"
    UINTEGER64: Final = _XSD + "uinteger64"
    DNS_NAME: Final = "http://schemas.xmlsoap.org/claims/dns"
    EMAIL: Final = _XMLSOAP + "emailaddress"
    RSA: Final = _XMLSOAP + "rsa"
    UPN_NAME: Final = "http://schemas.xmlsoap.org/claims/UPN"
    DSA_KEY_VALUE: Final = "http://www.w3.org/2000/09/xmldsig#DSAKeyValue"
    KEY_INFO: Final = "http://www.w3.org/2000/09/xmldsig#KeyInfo"
    RSA_KEY_VALUE: Final = "http://www.w3.org/2000/09/xmldsig#RSAKeyValue"
    DAYTIME_DURATION: Final = "http://www.w3.org/TR/2002/WD-xquery-operators-20020816#dayTimeDuration"
    YEAR_MONTH_DURATION: Final = "http://www.w3.org/TR/2002/WD-xquery-operators-20020816#yearMonthDuration"
    RFC822_NAME: Final = "urn:oasis:names:tc:xacml:1.0:data-type:rfc822Name"
    X500_NAME: Final = "urn:oasis:names:tc:xacml:1.0:data-type:x500Name"


_WHO: Final = ("sub", ClaimTypes.NAME_IDENTIFIER, ClaimTypes.UPN)


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
        claims: Mapping[str, str] | Iterable[Claim] = (),
        authentication_type: str = "Cookies",
        identities: Iterable[Identity] | None = None,
    ) -> None:
        """A user with one identity: a name, roles, further claims (type → value, or `Claim` objects).

        ``identities`` instead of all that: the identities themselves. Nothing at all: nobody.
        """
        if isinstance(roles, str):
            raise TypeError("roles is a list of role names, not one text")
        own = _claims(name, roles, claims) if name is not None or roles or claims else ()
        if identities is None:
            identities = (Identity(own, authentication_type),) if own else ()
        elif own:
            raise TypeError("either identities, or a name, roles and claims")
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
        """The first identity: the one that ``name`` and ``is_authenticated`` speak of."""
        return self.identities[0] if self.identities else None

    @property
    def is_authenticated(self) -> bool:
        """Whether the first identity is."""
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
        return next((claim.value for claim in self if claim.type == claim_type), None)

    def values(self, claim_type: str) -> tuple[str, ...]:
        """The values of all claims of a type, in order."""
        return tuple(claim.value for claim in self if claim.type == claim_type)

    @property
    def subject(self) -> str | None:
        """Who this is, as one text that stays the same while roles come and go; ``None`` for nobody.

        base64(SHA-256(type ‖ value ‖ issuer)), each prefixed with its length as in a ticket, of the first non-empty
        claim ``sub``, ``NameIdentifier`` or ``Upn`` of an authenticated identity: the same that ASP.NET Core's
        antiforgery binds its tokens to. Failing those the identity's name, failing all that every claim, sorted.
        """
        known = [identity for identity in self.identities if identity.is_authenticated]
        for identity in known:
            for kind in (*_WHO, identity.name_claim_type):
                for claim in identity.claims:
                    if claim.type == kind and claim.value:
                        return _digest([claim])
        return _digest(sorted((c for i in known for c in i.claims), key=_fields)) if known else None


def setters(cls: type[Any]) -> list[Callable[[Any, Any], None]]:
    """What sets the fields of a frozen class at half the cost of ``object.__setattr__``: it is done often."""
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


def _claims(name: str | None, roles: Iterable[str], claims: Mapping[str, str] | Iterable[Claim]) -> tuple[Claim, ...]:
    """The claims of a new identity, the name first."""
    named = [] if name is None else [Claim(ClaimTypes.NAME, name)]
    held = [Claim(ClaimTypes.ROLE, role) for role in roles]
    others = [Claim(str(k), str(v)) for k, v in claims.items()] if isinstance(claims, Mapping) else list(claims)
    return (*named, *held, *others)


def _fields(claim: Claim) -> tuple[str, str, str]:
    return (claim.type, claim.value, claim.issuer)


def _digest(claims: Iterable[Claim]) -> str:
    """SHA-256 over type, value and issuer of each claim as length-prefixed UTF-8, in base64."""
    digest = hashlib.sha256()
    for text in (text for claim in claims for text in _fields(claim)):
        data = text.encode("utf-8", "surrogatepass")
        digest.update(varint(len(data)) + data)
    return b64encode(digest.digest()).decode()
