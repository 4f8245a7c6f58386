"""The terms of a sign-in: since when, until when, kept by the browser or not, renewable or not, and texts of others.

Kept as texts by name, as in ASP.NET Core (``AuthenticationProperties``); unknown names are kept and passed on.

    .issued .expires   RFC 1123 date, 29 characters, GMT, whole seconds
    .persistent        there or not; its value is empty
    .refresh           True, False or not there
    .redirect          where to go after this
    .TokenNames        names joined with ";", each with its .Token.<name>

Two names are ours. .NET does not know them, and carries them along; no renewal changes them:

    .dpm_authenticated   when the user authenticated, as the other dates
    .dpm_sign_in         the id of the sign-in: base64url of 16 random bytes
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Final

from dpmiddleware.arguments import checked
from dpmiddleware.web.cookies.http_dates import http_date, read_http_date

__all__ = ["AuthenticationProperties"]

_ISSUED: Final = ".issued"
_EXPIRES: Final = ".expires"
_PERSISTENT: Final = ".persistent"
_REFRESH: Final = ".refresh"
_REDIRECT: Final = ".redirect"
_NAMES: Final = ".TokenNames"
_SAVED: Final = ".Token."
_AUTHENTICATED: Final = ".dpm_authenticated"
_SIGN_IN: Final = ".dpm_sign_in"
_ID_BYTES: Final = 16
_BOOLEANS: Final = {"true": True, "false": False}
_LONG_PAST: Final = datetime(1, 1, 1, tzinfo=timezone.utc)


@checked
class AuthenticationProperties:
    """Properties of a sign-in. ``items``: the texts by name, in the order of writing.

    >>> AuthenticationProperties(is_persistent=True).items
    {'.persistent': ''}
    """

    __slots__ = ("items",)

    def __init__(
        self,
        items: Mapping[str, str] = {},
        *,
        is_persistent: bool | None = None,
        allow_refresh: bool | None = None,
        issued_utc: datetime | None = None,
        expires_utc: datetime | None = None,
        redirect_uri: str | None = None,
        authenticated_utc: datetime | None = None,
    ) -> None:
        self.items: dict[str, str] = dict(items)
        if issued_utc is not None:
            self.issued_utc = issued_utc
        if expires_utc is not None:
            self.expires_utc = expires_utc
        if is_persistent is not None:
            self.is_persistent = is_persistent
        if allow_refresh is not None:
            self.allow_refresh = allow_refresh
        if redirect_uri is not None:
            self.redirect_uri = redirect_uri
        if authenticated_utc is not None:
            self.authenticated_utc = authenticated_utc

    def copy(self) -> AuthenticationProperties:
        """The same texts in another object."""
        copied = AuthenticationProperties.__new__(AuthenticationProperties)  # past questions that nobody asked
        copied.items = dict(self.items)
        return copied

    @property
    def lifetime(self) -> tuple[datetime, datetime] | None:
        """`issued_utc` and `expires_utc`; ``None`` where one of them is."""
        issued, expires = read_http_date(self.items.get(_ISSUED)), self.items.get(_EXPIRES)
        return None if issued is None or expires is None else (issued, read_http_date(expires) or _LONG_PAST)

    @property
    def bounds(self) -> tuple[datetime | None, datetime | None]:
        """`authenticated_utc` and `expires_utc`, read in one step, because each request needs both."""
        items = self.items
        said, expires = items.get(_AUTHENTICATED), items.get(_EXPIRES)
        return (
            read_http_date(items.get(_ISSUED)) if said is None else read_http_date(said) or _LONG_PAST,
            None if expires is None else read_http_date(expires) or _LONG_PAST,
        )

    @property
    def cookie_expires(self) -> str | None:
        """When the browser forgets the cookie, as HTTP writes dates; ``None``: when it is closed."""
        return self.items.get(_EXPIRES) if _PERSISTENT in self.items else None

    def renewed(self, now: datetime, expires: datetime) -> AuthenticationProperties:
        """The same, issued ``now`` and valid until ``expires``. When the user authenticated stays what it was."""
        renewed = self.copy()
        if _AUTHENTICATED not in renewed.items and _ISSUED in renewed.items:
            renewed.items[_AUTHENTICATED] = renewed.items[_ISSUED]
        renewed.identify()
        renewed.items[_ISSUED], renewed.items[_EXPIRES] = http_date(now), http_date(expires)
        return renewed

    @property
    def issued_utc(self) -> datetime | None:
        """When the ticket was issued or last renewed; ``None`` where it is not said or cannot be read."""
        return read_http_date(self.items.get(_ISSUED))

    @issued_utc.setter
    def issued_utc(self, moment: datetime | None) -> None:
        self._set(_ISSUED, None if moment is None else http_date(moment))

    @property
    def authenticated_utc(self) -> datetime | None:
        """When the user authenticated; renewals do not change it. Where it is not said: when the ticket was issued.

        ``None`` if neither is said. A date that cannot be read is long past.
        """
        return self.bounds[0]

    @authenticated_utc.setter
    def authenticated_utc(self, moment: datetime | None) -> None:
        self._set(_AUTHENTICATED, None if moment is None else http_date(moment))

    @property
    def sign_in_id(self) -> str | None:
        """The id of the sign-in, which all of its tickets have; ``None`` if ASP.NET Core issued the ticket."""
        return self.items.get(_SIGN_IN)

    @sign_in_id.setter
    def sign_in_id(self, identifier: str | None) -> None:
        self._set(_SIGN_IN, identifier)

    def identify(self) -> None:
        """Give the sign-in an id, unless it has one."""
        if _SIGN_IN not in self.items:
            self.items[_SIGN_IN] = secrets.token_urlsafe(_ID_BYTES)

    @property
    def says_when_authenticated(self) -> bool:
        """Whether `authenticated_utc` is said, and not taken from `issued_utc`."""
        return _AUTHENTICATED in self.items

    @property
    def expires_utc(self) -> datetime | None:
        """When the ticket ends; ``None`` for never. A date that cannot be read is long past (.NET: never)."""
        return self.bounds[1]

    @expires_utc.setter
    def expires_utc(self, moment: datetime | None) -> None:
        self._set(_EXPIRES, None if moment is None else http_date(moment))

    @property
    def is_persistent(self) -> bool:
        """Whether the browser keeps the cookie when it is closed."""
        return _PERSISTENT in self.items

    @is_persistent.setter
    def is_persistent(self, wanted: bool) -> None:
        self._set(_PERSISTENT, "" if wanted else None)

    @property
    def allow_refresh(self) -> bool | None:
        """Whether sliding may renew this ticket; ``None``: not said, it may."""
        return _BOOLEANS.get(self.items[_REFRESH].strip().lower()) if _REFRESH in self.items else None

    @allow_refresh.setter
    def allow_refresh(self, allowed: bool | None) -> None:
        self._set(_REFRESH, None if allowed is None else str(allowed))

    @property
    def redirect_uri(self) -> str | None:
        """Where to go after signing in or out, or the page that asked for a sign-in. Trusted: the application's own."""
        return self.items.get(_REDIRECT)

    @redirect_uri.setter
    def redirect_uri(self, uri: str | None) -> None:
        self._set(_REDIRECT, uri)

    @property
    def tokens(self) -> dict[str, str]:
        """Tokens of a remote sign-in that were saved (``access_token`` …)."""
        names = self.items.get(_NAMES, "").split(";")
        return {name: self.items[_SAVED + name] for name in names if _SAVED + name in self.items}

    @tokens.setter
    def tokens(self, tokens: Mapping[str, str]) -> None:
        if any(";" in name for name in tokens):
            raise ValueError("a token's name cannot hold a semicolon")
        for name in self.tokens:
            del self.items[_SAVED + name]
        self._set(_NAMES, ";".join(tokens) if tokens else None)
        self.items.update({_SAVED + name: value for name, value in tokens.items()})

    def _set(self, name: str, value: str | None) -> None:
        if value is None:
            self.items.pop(name, None)
        else:
            self.items[name] = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AuthenticationProperties) and self.items == other.items

    __hash__ = None  # type: ignore[assignment]  # it can be changed

    def __repr__(self) -> str:
        return f"AuthenticationProperties({', '.join(self.items)})"
