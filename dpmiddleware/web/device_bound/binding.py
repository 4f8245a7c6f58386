"""`Binding`: what a ticket says about the browser that it is bound to. Items of its properties::

    DbscPublicKeyJwk   the browser's public key, see `dpmiddleware.web.device_bound.proof.DeviceKey`
    DbscSessionId      identifier of the browser's session: base64url of 24 random bytes
    DbscAlgorithm      ES256 or RS256
    .dpm_bound         when it was bound, as HTTP writes dates
    .dpm_confirmed     there or not; its value is empty

The first three are ASP.NET Core 11's. It and older releases of this package carry all of them along in renewals.

A browser that refuses the session that a server offers keeps the cookies of that response, and the server never hears
about it (seen with Chromium 156). So a binding counts only once the browser has used its key a second time: then it is
*confirmed*.
"""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Final, NamedTuple

from dpmiddleware.web.cookies.http_dates import http_date, read_http_date
from dpmiddleware.web.device_bound.proof import DeviceKey
from dpmiddleware.web.sign_in.properties import AuthenticationProperties

__all__ = ["Binding"]

_KEY: Final = "DbscPublicKeyJwk"
_IDENTIFIER: Final = "DbscSessionId"
_ALGORITHM: Final = "DbscAlgorithm"
_BOUND: Final = ".dpm_bound"
_CONFIRMED: Final = ".dpm_confirmed"
_ITEMS: Final = (_KEY, _IDENTIFIER, _ALGORITHM, _BOUND, _CONFIRMED)
_IDENTIFIER_BYTES: Final = 24


class Binding(NamedTuple):
    """A browser's session and key.

    identifier: of the browser's session.
    jwk, algorithm: its public key, as text; `key` parses it.
    bound: when; ``None`` where that is not said.
    confirmed: whether the browser has used its key since.
    """

    identifier: str
    jwk: str
    algorithm: str
    bound: datetime | None = None
    confirmed: bool = False

    @classmethod
    def new(cls, key: DeviceKey, now: datetime) -> Binding:
        """The binding of a browser that has just registered this key; it is not confirmed."""
        return cls(secrets.token_urlsafe(_IDENTIFIER_BYTES), key.jwk, key.algorithm, now)

    @classmethod
    def of(cls, properties: AuthenticationProperties, since: datetime | None = None) -> Binding | None:
        """The binding of a ticket with these properties; ``None`` if it is not bound.

        since: a ticket that was bound before is not bound.
        """
        items = properties.items
        identifier = items.get(_IDENTIFIER)
        if not identifier:
            return None
        bound = read_http_date(items.get(_BOUND))
        if since is not None and (bound is None or bound < since):
            return None
        return cls(identifier, items.get(_KEY, ""), items.get(_ALGORITHM, ""), bound, _CONFIRMED in items)

    @property
    def key(self) -> DeviceKey | None:
        """The public key; ``None`` if the text is not one that is accepted."""
        return DeviceKey.read(self.jwk, self.algorithm)

    def put_into(self, properties: AuthenticationProperties) -> None:
        """Write this binding into the properties of a ticket, in place of another one."""
        Binding.remove_from(properties)
        items = properties.items
        items[_KEY], items[_IDENTIFIER], items[_ALGORITHM] = self.jwk, self.identifier, self.algorithm
        if self.bound is not None:
            items[_BOUND] = http_date(self.bound)
        if self.confirmed:
            items[_CONFIRMED] = ""

    @staticmethod
    def remove_from(properties: AuthenticationProperties) -> None:
        """Leave a ticket with these properties unbound."""
        for name in _ITEMS:
            properties.items.pop(name, None)
