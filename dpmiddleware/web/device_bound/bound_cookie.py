"""`BoundCookie`: the short-lived cookie which says that the browser has used its key a short time ago. ::

    name     := name of the ticket's cookie ".Bound"            "__Host-Http-" becomes "__Host-"
    value    := base64url of a payload with an end; inside: the identifier of the browser's session
    purposes := "dpmiddleware.DeviceBound.v1", scheme

The browser refreshes it when it has ended, or when its attributes are not those that the server has announced: then
with every request. So both texts are made from one value here. It always has ``max-age``: without, it would never end.

Its companion ``….Again`` marks, for ten seconds, a browser that was asked to come again with a proof; ``….Offered`` one
that was offered a session without signing in.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, Literal

from dpmiddleware import purposes, telemetry
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import ExpiredPayloadError, UnprotectError
from dpmiddleware.protection import base64url
from dpmiddleware.protection.time_limited import TimeLimitedDataProtector
from dpmiddleware.web.cookies.places import Where
from dpmiddleware.web.cookies.protected import ProtectedCookie
from dpmiddleware.web.cookies.text import (
    MAX_PER_NAME,
    Attributes,
    CookieSettings,
    attributes,
    expired,
    find,
    render,
)
from dpmiddleware.web.device_bound.options import DeviceBound
from dpmiddleware.web.steps import Ring, Steps

__all__ = ["BoundCookie", "Lack", "companion_name"]

Lack = Literal["none", "expired", "unreadable", "other_session"]
"""What is wrong with the bound cookie of a request that is not proven."""
FIRST_LIFE: Final = timedelta(seconds=60)
"""Of the first one. Chromium refreshes it beside the next request, and that confirms the binding."""
_MARKED: Final = timedelta(seconds=10)
_UNSUPPORTED: Final = "__host-http-"
"""A prefix that Chromium 156 does not permit for a bound cookie."""


class BoundCookie:
    """The bound cookie of one scheme.

    ticket: the settings of the cookie that it belongs to.
    now: the clock.
    """

    def __init__(
        self,
        data_protection: DataProtection,
        scheme: str,
        ticket: CookieSettings,
        options: DeviceBound,
        now: Callable[[], datetime],
    ) -> None:
        self._options, self._now, self._ring = options, now, data_protection.ring
        self.name, self.mark, self.offered = (
            companion_name(ticket.name, kind) for kind in ("Bound", "Again", "Offered")
        )
        settings = replace(ticket, name=self.name, secure="always", max_age=None)
        protector = data_protection.create_protector(*purposes.device_bound(scheme))
        self._protector = TimeLimitedDataProtector(protector, now)
        self._cookie = ProtectedCookie(settings, self._protector, ring=data_protection.ring)
        self._attributes: Attributes = settings.attributes(https=True)

    @property
    def credential(self) -> dict[str, str]:
        """How the cookie is announced to the browser."""
        return {"type": "cookie", "name": self.name, "attributes": "; ".join(self._attributes)}

    def is_in(self, header: bytes) -> bool:
        """Whether a Cookie header has the cookie, whatever its value."""
        return bool(find(header, self.name, 1))

    def is_marked(self, header: bytes) -> bool:
        """Whether a Cookie header says that this browser was asked to come again a moment ago."""
        return bool(find(header, self.mark, 1))

    def is_marked_as_offered(self, header: bytes) -> bool:
        """Whether a Cookie header says that this browser was offered a session a moment ago."""
        return bool(find(header, self.offered, 1))

    def waits(self, ring: Ring, header: bytes) -> Steps[None] | None:
        """See `ProtectedCookie.waits`."""
        return self._cookie.waits(ring, header, None)

    def lack(self, header: bytes, identifier: str) -> Lack | None:
        """``None`` if a Cookie header proves the browser's session ``identifier``; otherwise what is wrong.

        Cookies of the name that do not open are ignored if one does. `KeyManagementError` if there is no ring.
        """
        lack: Lack = "none"
        for value in find(header, self.name, MAX_PER_NAME):
            try:
                found = self._protector.unprotect(base64url.decode(value))
            except ExpiredPayloadError:
                lack = "expired"
            except UnprotectError as refusal:
                telemetry.refused(refusal.code, key_id=refusal.key_id, ring=self._ring, where=self.name)
                lack = "unreadable"
            else:
                if hmac.compare_digest(found, identifier.encode("utf-8", "replace")):
                    return None
                lack = "other_session"
        return lack

    def seal(self, header: bytes, identifier: str, *, is_first: bool = False) -> list[str]:
        """The Set-Cookie lines which say that the browser's session ``identifier`` is proven.

        header: the Cookie header of the request.
        is_first: whether the session has just been registered.
        """
        life = min(self._options.short_lived, FIRST_LIFE) if is_first else self._options.short_lived
        ends = self._now() + life + self._options.grace
        return self._cookie.seal(identifier.encode(), header, self._lasting(life), expires=ends)

    def delete(self, header: bytes, where: Where) -> list[str]:
        """The Set-Cookie lines that delete the cookie, wherever it may be."""
        return self._cookie.delete(header, self._attributes, where)

    def marked(self) -> str:
        """The Set-Cookie line that marks a browser which is asked to come again."""
        return render(self.mark, "1", self._lasting(_MARKED))

    def marked_as_offered(self, lifetime: timedelta) -> str:
        """The Set-Cookie line that marks a browser which was offered a session, until it could be offered another."""
        return render(self.offered, "1", self._lasting(lifetime))

    def _lasting(self, life: timedelta) -> Attributes:
        return (*attributes(max_age=life), *self._attributes)

    def unmarked(self, header: bytes) -> list[str]:
        """The Set-Cookie lines that take both marks away, if the request has them."""
        marks = [mark for mark in (self.mark, self.offered) if find(header, mark, 1)]
        return [render(mark, "", expired(self._attributes)) for mark in marks]


def companion_name(ticket: str, kind: str) -> str:
    """The name of a cookie that goes with a ticket's, as browsers accept it."""
    if ticket.lower().startswith(_UNSUPPORTED):
        ticket = "__Host-" + ticket[len(_UNSUPPORTED) :]
    return f"{ticket}.{kind}"
