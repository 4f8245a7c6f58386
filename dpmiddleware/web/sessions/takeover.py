"""`Takeover`: sessions of another framework under the name of our cookie, read from requests, written for old members.

An old session is looked for only if the request has no cookie of ours. It counts as changed, so the response to the
first request that reads it writes our cookie.
"""

from __future__ import annotations

from functools import partial
from typing import Final, NoReturn

from dpmiddleware.clock import Clock
from dpmiddleware.errors import CookieTooLargeError
from dpmiddleware.web.cookies import chunks
from dpmiddleware.web.cookies.text import Attributes, find
from dpmiddleware.web.sessions.old_sessions import OldSession, OldSessions
from dpmiddleware.web.sessions.session import Session
from dpmiddleware.web.sessions.stored import ID, SUBJECT, StoredSession, ValueFormat, end_in, milliseconds

__all__ = ["Takeover"]

_LONGEST_COOKIE: Final = 4096


class Takeover:
    """Old sessions under the name of a cookie.

    migration: reads and writes them.
    name: of the cookie.
    value_format: that of new sessions.
    clock: says whether they are still accepted.
    """

    def __init__(self, migration: OldSessions, name: str, value_format: ValueFormat, clock: Clock) -> None:
        self._migration, self._name, self._format, self._clock = migration, name, value_format, clock
        self.asks_server = migration.on_server
        """Whether reading a session may wait for the database that has the old ones."""

    @property
    def is_writing(self) -> bool:
        """Whether sessions are still written in the old form."""
        return self._migration.is_writing_old(self._clock.now())

    def may_be_in(self, header: bytes) -> bool:
        """Whether a request has a cookie of the name, and none of ours."""
        return bool(self._values(header))

    def _values(self, header: bytes) -> list[str]:
        values = find(header, self._name, self._migration.most)
        return [] if any(map(chunks.is_ours, values)) else values

    def find(self, header: bytes) -> StoredSession | None:
        """The old session of a request, unless one of our cookies is there too."""
        return self._first(self._values(header))

    def _first(self, values: list[str]) -> StoredSession | None:
        for value in values:
            old = self._migration.loads(value.strip('"'), self._clock.now())
            if old is not None:
                return self._taken_over(old, stays=self.asks_server and self.is_writing)
        return None

    def _taken_over(self, old: OldSession, *, stays: bool) -> StoredSession:
        """An old session. stays: it is written only if it changes, as the old framework does."""
        end_in(old.data)  # the old format says when it ends
        names = [name for name in (ID, SUBJECT) if name in old.data]  # they come first, as in `Session.dumps`
        mapping = {name: old.data.pop(name) for name in names} | old.data
        issued, ends = milliseconds(old.issued), None if old.ends is None else milliseconds(old.ends)
        return StoredSession(issued, issued, self._format.dumps(mapping) if stays else b"", mapping, ends, old=True)

    def written(self, session: Session) -> str:
        """Write a session in the old form, for members of the farm that read only that; returns the cookie's value."""
        stored = session.stored
        is_new = stored is None or not stored.old or session.has_started_over
        return self._migration.dumps({**session.reserved(), **session.copy()}, self._clock.now(), is_new=is_new)

    def line(self, value: str, attributes: Attributes) -> str:
        """The cookie as the old framework writes it. `CookieTooLargeError` if it is too long: there are no chunks."""
        if len(self._name) + len(value) > _LONGEST_COOKIE:
            raise CookieTooLargeError(
                f"cookie {self._name!r} would take {len(value)} bytes in its old format, which has no chunks",
                hint="keep less in the session until the whole farm writes the new format",
            )
        return "; ".join((f"{self._name}={value}", *attributes))

    def read_ahead(self, session: Session, header: bytes) -> None:
        """Look for the old session of a request now, where the server's store may be waited for.

        What the store raises is raised when the application uses the session: other pages are served.
        """
        values = self._values(header)
        if not values:
            return
        try:
            old = self._first(values)
        except Exception as error:  # noqa: BLE001 (the store is the application's)
            session.foresee(partial(_raise, error))
        else:
            session.foresee(lambda *_: old)

    def forget(self, session: Session, *, is_over: bool = False) -> None:
        """Delete the old session on the server if this one was ended or renewed.

        is_over: whether nothing is left of this one, for example after ``flask.session.clear()``.
        """
        ended = session.former_id or (session.known_id if is_over else None)
        if ended is not None:
            self._migration.forget(ended)


def _raise(error: Exception, *_: object) -> NoReturn:
    raise error
