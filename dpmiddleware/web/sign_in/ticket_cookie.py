"""`TicketCookie`: read a sign-in ticket from a request; write it to the client, or to a session store. ::

    cookie value := base64url of a payload, purposes "…CookieAuthenticationMiddleware", scheme, "v2"; inside: a ticket

With a session store that ticket is a reference: its one claim "…Cookies-SessionId" is the key of the real ticket.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Final, NamedTuple, Protocol

from dpmiddleware import purposes, telemetry
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import UnprotectError
from dpmiddleware.protection.protector import DataProtector
from dpmiddleware.web.cookies.protected import ProtectedCookie
from dpmiddleware.web.cookies.text import Attributes, CookieSettings, find, with_expiry
from dpmiddleware.web.sign_in import records, validity
from dpmiddleware.web.sign_in.claims import LOCAL_AUTHORITY, Claim, Identity, Principal
from dpmiddleware.web.sign_in.options import CookieAuthenticationOptions
from dpmiddleware.web.sign_in.ticket import AuthenticationProperties, Ticket
from dpmiddleware.web.sign_in.ticket_store import TicketStore, entry_name, new_key
from dpmiddleware.web.steps import Call, Steps

__all__ = ["SESSION_ID_CLAIM", "CookieSource", "ReadTicket", "TicketCookie"]

SESSION_ID_CLAIM: Final = "Microsoft.AspNetCore.Authentication.Cookies-SessionId"
"""The type of the claim that names a ticket in the session store; ASP.NET Core's."""

_EARLIEST: Final = datetime.min.replace(tzinfo=timezone.utc)
_SECOND: Final = timedelta(seconds=1)


class ReadTicket(NamedTuple):
    """What the cookie of a request held: a ticket; nothing; or why the ticket does not count.

    key: of the ticket in the session store.
    """

    ticket: Ticket | None = None
    failure: str | None = None
    key: str | None = None


_NOT_OPENED: Final = ReadTicket(failure="Unprotect ticket failed")


class CookieSource(Protocol):
    """What matters of a request to its cookies; see `dpmiddleware.web.sign_in.return_urls.WebRequest`."""

    @property
    def cookies(self) -> bytes:
        """The Cookie header."""
        ...

    @property
    def https(self) -> bool:
        """Whether the connection is encrypted."""
        ...

    def where(self) -> tuple[str, str]:
        """The Host header and the decoded path."""
        ...


class TicketCookie:
    """The sign-in cookie of one scheme, and the session store behind it where there is one."""

    def __init__(self, data_protection: DataProtection, options: CookieAuthenticationOptions) -> None:
        self.settings = options.cookie_settings
        self._options, self._store, self._absolute = options, options.store, options.absolute_time_span
        self._data_protection = data_protection
        self._protector = data_protection.create_protector(*purposes.authentication_cookie(options.scheme))
        self._cookie = ProtectedCookie(self.settings, self._protector, ring=data_protection.ring, as_aspnet=True)
        self.locate, self.waits = self._cookie.locate, self._cookie.waits
        self._attributes = {https: self.settings.attributes(https=https) for https in (False, True)}

    def is_in(self, header: bytes) -> bool:
        """Whether a Cookie header contains the cookie, whatever its value."""
        return bool(find(header, self.settings.name, 1))

    def read(self, header: bytes, now: datetime, located: bytes | None = None) -> Steps[ReadTicket]:
        """Read the ticket of a request, from the session store if there is one. Failures are named as in ASP.NET Core.

        header: the Cookie header.
        now: tickets that ended before do not count.
        located: the result of `locate`, if it was called.
        """
        if self._store is None:
            return self.read_at_once(header, now, located)
        references: list[Ticket] = []  # each may name a ticket in the store, which says when it was issued
        content = self._cookie.open(header, Ticket.deserialize, located, choose=references.extend).content
        if content is not None:
            references.append(content)
        found: list[ReadTicket] = []
        for reference in references:
            found += [(yield from self._from_store(self._store, reference, now))]
        valid = [each.ticket for each in found if each.ticket is not None]
        if len(valid) > 1:
            chosen = _newest(valid)
            return next((each for each in found if each.ticket is chosen), _NOT_OPENED)
        return next((each for each in found if each.ticket is not None), found[0] if found else self._none_in(header))

    def read_at_once(self, header: bytes, now: datetime, located: bytes | None = None) -> ReadTicket:
        """`read` where there is no session store: nothing has to be waited for."""
        ticket = self._cookie.open(header, Ticket.deserialize, located, choose=_newest).content
        if ticket is None:
            return self._none_in(header)
        if ticket.principal.value(SESSION_ID_CLAIM) is not None:  # the ticket itself, and its end, are in a store
            return ReadTicket(failure="SessionId without a session store")
        return self._in_time(ticket, now, None)

    def _from_store(self, store: TicketStore, reference: Ticket, now: datetime) -> Steps[ReadTicket]:
        """The ticket that one in a cookie names, if it is still valid."""
        key = reference.principal.value(SESSION_ID_CLAIM)
        if key is None:
            return ReadTicket(failure="SessionId missing")
        value = yield Call(store.get, (entry_name(key),))
        ticket = None if value is None else self._open_entry(key, value)
        if ticket is None:
            records.ended(records.NOT_IN_STORE, self._options.scheme)
            return ReadTicket(failure=records.NOT_IN_STORE)
        found = self._in_time(ticket, now, key)
        if found.ticket is None:
            yield from self.forget(key)
        return found

    def _in_time(self, ticket: Ticket, now: datetime, key: str | None) -> ReadTicket:
        failure = validity.failure(ticket.properties, now, self._absolute)
        if failure is not None:
            records.ended(failure, self._options.scheme, ticket)
            return ReadTicket(failure=failure)
        if ticket.scheme != self._options.scheme:
            ticket = Ticket(self._options.scheme, ticket.principal, ticket.properties)
        return ReadTicket(ticket, None, key)

    def _none_in(self, header: bytes) -> ReadTicket:
        return _NOT_OPENED if self.is_in(header) else ReadTicket()

    def forget(self, key: str | None) -> Steps[None]:
        """Remove a ticket from the session store."""
        if self._store is not None and key is not None:
            yield Call(self._store.remove, (entry_name(key),))

    def keep(self, ticket: Ticket, now: datetime, replaced: str | None) -> Steps[tuple[Ticket, str | None]]:
        """Put a new ticket into the session store, in place of the one with the key ``replaced``.

        Returns what goes into the cookie, and the new key; without a store that is the ticket itself, and ``None``.
        """
        store = self._store
        if store is None:
            return ticket, None
        key = new_key()
        name, value = self._seal_entry(key, ticket)
        yield Call(store.put, (name, value, _lifetime(ticket.properties, now)))
        yield from self.forget(replaced)
        return self._reference(key, self._options.claims_issuer or "", ticket.properties), key

    def renew(self, ticket: Ticket, now: datetime, key: str | None) -> Steps[Ticket | None]:
        """Put a renewed ticket in place of the one with this key; returns what goes into the cookie.

        ``None``: the ticket was removed meanwhile, and stays removed.
        """
        store = self._store
        if store is None:
            return ticket
        if key is None:
            return None
        name, value = self._seal_entry(key, ticket)
        there = yield Call(store.replace, (name, value, _lifetime(ticket.properties, now)))
        return self._reference(key, ticket.scheme, ticket.properties) if there else None

    def rewrite(self, ticket: Ticket, request: CookieSource, now: datetime, key: str | None) -> Steps[list[str] | None]:
        """`renew` and `seal` as one; ``None`` if the ticket was removed meanwhile."""
        carried = yield from self.renew(ticket, now, key)
        if carried is None:
            return None
        left = validity.time_left(ticket.properties, now, self._options)
        return self.seal(carried, request, self.settings, ticket.properties.cookie_expires, left=left)

    def is_in_doubt(self, header: bytes) -> bool:
        """Whether a key that the cookie names is not known or not usable here, so that another process may read it."""
        keys = [self._data_protection.provider.find(key_id) for key_id in self._cookie.key_ids(header)]
        return any(key is None or (key.encryptor is None and key.revocation is None) for key in keys)

    def seal(
        self,
        ticket: Ticket,
        request: CookieSource,
        settings: CookieSettings,
        expires: datetime | str | None,
        *,
        left: timedelta | None = None,
        is_new: bool = False,
    ) -> list[str]:
        """The Set-Cookie lines that give the client a ticket.

        ticket: what goes into the cookie.
        request: its Cookie header says which old chunks to delete.
        settings: those of the cookie; an event may have changed them.
        expires: when the browser deletes the cookie; ``None``: when it is closed.
        left: how long the sign-in may last; the browser keeps the cookie no longer. ``None``: without an end.
        is_new: whether a user signs in, so that no other cookie may remain; otherwise the ticket is only renewed.
        """
        if left is not None and settings.max_age is not None and settings.max_age > left:
            settings = replace(settings, max_age=max(left, _SECOND))
        cookie, attributes = self._under(settings, request)
        attributes = with_expiry(attributes, expires)
        return cookie.seal(ticket.serialize(), request.cookies, attributes, where=request.where, always=is_new)

    def delete(self, request: CookieSource, settings: CookieSettings) -> list[str]:
        """The Set-Cookie lines that delete the cookie."""
        cookie, attributes = self._under(settings, request)
        return cookie.delete(request.cookies, attributes, request.where)

    def _under(self, settings: CookieSettings, request: CookieSource) -> tuple[ProtectedCookie, Attributes]:
        """The cookie and its attributes with the settings that an event gave it."""
        if settings is self.settings:
            return self._cookie, self._attributes[request.https]
        cookie = ProtectedCookie(settings, self._protector, ring=self._data_protection.ring, as_aspnet=True)
        return cookie, settings.attributes(https=request.https)

    def _reference(self, key: str, authentication_type: str, terms: AuthenticationProperties) -> Ticket:
        """What the cookie holds in place of a ticket that is in the store. It ends no later than the ticket."""
        claim = Claim(SESSION_ID_CLAIM, key, issuer=self._options.claims_issuer or LOCAL_AUTHORITY)
        principal = Principal(identities=[Identity((claim,), authentication_type)])
        return Ticket(self._options.scheme, principal, AuthenticationProperties(expires_utc=terms.expires_utc))

    def _seal_entry(self, key: str, ticket: Ticket) -> tuple[str, bytes]:
        name = entry_name(key)
        return name, self._entry_protector(name).protect(ticket.serialize())

    def _open_entry(self, key: str, value: bytes) -> Ticket | None:
        """The ticket in a value of the store; ``None`` if it is not the one that was kept with ``key``."""
        try:
            return Ticket.deserialize(self._entry_protector(entry_name(key)).unprotect(value))
        except UnprotectError as refusal:
            ring = self._data_protection.ring
            telemetry.refused(refusal.code, key_id=refusal.key_id, ring=ring, where="ticket store")
            return None

    def _entry_protector(self, name: str) -> DataProtector:
        return self._data_protection.create_protector(*purposes.ticket_store(self._options.scheme, name))


def _newest(tickets: Sequence[Ticket]) -> Ticket | None:
    """The ticket that was issued last, if all have the same subject; otherwise ``None``."""
    subjects = {ticket.principal.subject for ticket in tickets}
    if len(subjects) > 1 or None in subjects:
        return None
    return max(reversed(tickets), key=lambda ticket: ticket.properties.issued_utc or _EARLIEST)


def _lifetime(properties: AuthenticationProperties, now: datetime) -> timedelta | None:
    return None if properties.expires_utc is None else properties.expires_utc - now
