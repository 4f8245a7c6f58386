"""`TicketCookie`: read a sign-in ticket from a request; write it to the client, or to a store and its key there. ::

cookie value := base64url of a payload, purposes "…CookieAuthenticationMiddleware", scheme, "v2"; inside: a ticket
with a session store, that ticket is a reference: one claim "…Cookies-SessionId", the key of the real one
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, NamedTuple, Protocol

from dpmiddleware import purposes, telemetry
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import UnprotectError
from dpmiddleware.protection.protector import DataProtector
from dpmiddleware.web.cookies.protected import ProtectedCookie
from dpmiddleware.web.cookies.text import Attributes, CookieSettings, find, with_expiry
from dpmiddleware.web.sign_in.claims import LOCAL_AUTHORITY, Claim, Identity, Principal
from dpmiddleware.web.sign_in.options import CookieAuthenticationOptions
from dpmiddleware.web.sign_in.steps import Call, Steps
from dpmiddleware.web.sign_in.ticket import AuthenticationProperties, Ticket
from dpmiddleware.web.sign_in.ticket_store import entry_name, new_key

__all__ = ["SESSION_ID_CLAIM", "ReadTicket", "RequestCookies", "TicketCookie"]

SESSION_ID_CLAIM: Final = "Microsoft.AspNetCore.Authentication.Cookies-SessionId"
"""The type of the claim that names a ticket in the session store; ASP.NET Core's."""


class ReadTicket(NamedTuple):
    """What a request's cookie held: a ticket, nothing at all, or why it does not count. key: in the session store."""

    ticket: Ticket | None = None
    failure: str | None = None
    key: str | None = None


class RequestCookies(Protocol):
    """What of a request matters to its cookies; see `dpmiddleware.web.sign_in.return_urls.WebRequest`."""

    cookies: bytes
    https: bool


class TicketCookie:
    """The sign-in cookie of one scheme, and the session store behind it where there is one."""

    def __init__(self, data_protection: DataProtection, options: CookieAuthenticationOptions) -> None:
        self.settings = options.cookie_settings
        self._options = options
        self._data_protection = data_protection
        self._protector = data_protection.create_protector(*purposes.authentication_cookie(options.scheme))
        self._cookie = ProtectedCookie(self.settings, self._protector, ring=data_protection.ring)
        self.locate, self.key_ids = self._cookie.locate, self._cookie.key_ids
        self._attributes = {https: self.settings.attributes(https=https) for https in (False, True)}

    def is_in(self, header: bytes) -> bool:
        """Whether a Cookie header brings something under the cookie's name."""
        return bool(find(header, self.settings.name, 1))

    def read(self, header: bytes, now: datetime, located: bytes | None = None) -> ReadTicket:
        """The ticket of a request, if it still holds at ``now``; without a session store. ASP.NET Core's failures.

        located: what `locate` gave, if it was asked.
        """
        ticket = self._cookie.open(header, Ticket.deserialize, located).content
        return self._none(header) if ticket is None else self._held(ticket, now)

    def read_stored(self, header: bytes, now: datetime, located: bytes | None = None) -> Steps[ReadTicket]:
        """The same where the cookie holds a reference, and the ticket is in the session store."""
        reference = self._cookie.open(header, Ticket.deserialize, located).content
        if reference is None:
            return self._none(header)
        key = reference.principal.value(SESSION_ID_CLAIM)
        if key is None or self._options.store is None:
            return ReadTicket(failure="SessionId missing")
        value = yield Call(self._options.store.get, (entry_name(key),))
        ticket = None if value is None else self._open_entry(key, value)
        if ticket is None:
            return ReadTicket(failure="Identity missing in session store")
        read = self._held(ticket, now, key)
        if read.ticket is None:
            yield from self.forget(key)
        return read

    def _none(self, header: bytes) -> ReadTicket:
        return ReadTicket(failure="Unprotect ticket failed") if self.is_in(header) else ReadTicket()

    def _held(self, ticket: Ticket, now: datetime, key: str | None = None) -> ReadTicket:
        expires = ticket.properties.expires_utc
        if expires is not None and expires < now:
            return ReadTicket(failure="Ticket expired")
        if ticket.scheme != self._options.scheme:
            ticket = Ticket(self._options.scheme, ticket.principal, ticket.properties)
        return ReadTicket(ticket, None, key)

    def forget(self, key: str | None) -> Steps[None]:
        """Take a ticket out of the session store."""
        if self._options.store is not None and key is not None:
            yield Call(self._options.store.remove, (entry_name(key),))

    def keep(self, ticket: Ticket, now: datetime, replaced: str | None) -> Steps[tuple[Ticket, str | None]]:
        """Put a new ticket into the session store, in place of the one under the key ``replaced``.

        (what goes into the cookie, the new key); without a store the ticket itself.
        """
        store = self._options.store
        if store is None:
            return ticket, None
        key = new_key()
        name, value = self._seal_entry(key, ticket)
        yield Call(store.put, (name, value, _lifetime(ticket.properties, now)))
        yield from self.forget(replaced)
        return self._reference(key, self._options.claims_issuer or ""), key

    def renew(self, ticket: Ticket, now: datetime, key: str | None) -> Steps[Ticket | None]:
        """Put a renewed ticket where the old one is. ``None``: it was taken out meanwhile, and stays out."""
        store = self._options.store
        if store is None:
            return ticket
        if key is None:
            return None
        name, value = self._seal_entry(key, ticket)
        there = yield Call(store.replace, (name, value, _lifetime(ticket.properties, now)))
        return self._reference(key, ticket.scheme) if there else None

    def seal(
        self, ticket: Ticket, request: RequestCookies, settings: CookieSettings, expires: datetime | str | None
    ) -> list[str]:
        """The Set-Cookie lines that give the client ``ticket``. ``expires``: when the browser forgets it."""
        cookie, attributes = self._under(settings, request)
        return cookie.seal(ticket.serialize(), request.cookies, with_expiry(attributes, expires))

    def delete(self, request: RequestCookies, settings: CookieSettings) -> list[str]:
        """The Set-Cookie lines that end the cookie."""
        cookie, attributes = self._under(settings, request)
        return cookie.delete(request.cookies, attributes)

    def _under(self, settings: CookieSettings, request: RequestCookies) -> tuple[ProtectedCookie, Attributes]:
        """The cookie, and its attributes, under the settings that an event gave it."""
        if settings is self.settings:
            return self._cookie, self._attributes[request.https]
        cookie = ProtectedCookie(settings, self._protector, ring=self._data_protection.ring)
        return cookie, settings.attributes(https=request.https)

    def _reference(self, key: str, authentication_type: str) -> Ticket:
        claim = Claim(SESSION_ID_CLAIM, key, issuer=self._options.claims_issuer or LOCAL_AUTHORITY)
        return Ticket(self._options.scheme, Principal(identities=[Identity((claim,), authentication_type)]))

    def _seal_entry(self, key: str, ticket: Ticket) -> tuple[str, bytes]:
        name = entry_name(key)
        return name, self._entry_protector(name).protect(ticket.serialize())

    def _open_entry(self, key: str, value: bytes) -> Ticket | None:
        """The ticket in a value of the store; ``None`` where it is not the one that was kept under ``key``."""
        try:
            return Ticket.deserialize(self._entry_protector(entry_name(key)).unprotect(value))
        except UnprotectError as refusal:
            ring = self._data_protection.ring
            telemetry.refused(refusal.code, key_id=refusal.key_id, ring=ring, where="ticket store")
            return None

    def _entry_protector(self, name: str) -> DataProtector:
        return self._data_protection.create_protector(*purposes.ticket_store(self._options.scheme, name))


def _lifetime(properties: AuthenticationProperties, now: datetime) -> timedelta | None:
    return None if properties.expires_utc is None else properties.expires_utc - now
