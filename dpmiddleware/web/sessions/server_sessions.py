"""`ServerSessions`: sessions that an application kept on the server, under a key that is the value of the cookie.

Flask-Session and starsessions keep them so, in Redis and elsewhere. The application passes the functions that read,
write and delete one, since it knows the store, its prefix and its serializer. The key is the id of the session from
then on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from dpmiddleware.arguments import checked
from dpmiddleware.errors import ConfigurationError
from dpmiddleware.web.sessions.old_sessions import OldSession, OldSessions, RefusedError
from dpmiddleware.web.sessions.stored import ENDS, ID, RESERVED, SUBJECT

__all__ = ["ServerSessions"]

_KEY: Final = re.compile(r"[\w.:~-]{16,256}", re.ASCII)
"""Shorter keys can be guessed; other characters are not in a key, but may mean something to a store."""


@checked
class ServerSessions(OldSessions):
    """Sessions of one application, kept on its server.

    read: returns the mapping that is kept under a key; ``None`` if there is none. It may wait, and what it raises is
        an error of the page that uses the session. It is called with values that clients sent.
    until: when old sessions are no longer accepted; aware.
    forget: deletes what is kept under a key; called when the session is ended or renewed.
    write: keeps a mapping under a key, as the old servers do, for ``writes_old``. It may wait, as ``read`` may.
    writes_old: whether sessions are written in the old form, for servers that cannot read the new one yet.
    max_age: how long the application keeps a session that is not used; at most so far away is ``until``.
    now: the current time, for tests.
    """

    framework = "server"
    on_server = True
    most = 4  # each is a question to the store

    def __init__(
        self,
        read: Callable[[str], Mapping[str, Any] | None],
        *,
        until: datetime,
        forget: Callable[[str], object] | None = None,
        write: Callable[[str, dict[str, Any]], object] | None = None,
        writes_old: bool = False,
        max_age: timedelta | None = None,
        now: datetime | None = None,
    ) -> None:
        super().__init__(until=until, max_age=max_age, writes_old=writes_old, now=now)
        if writes_old and write is None:
            raise ConfigurationError(
                "writes_old=True needs the function that writes a session", hint="pass write=, and forget= as well"
            )
        self._read, self._forget, self._write = read, forget, write

    def _loads(self, value: str, now: datetime) -> OldSession:
        if not _KEY.fullmatch(value):
            raise RefusedError("malformed")
        found: object = self._read(value)
        if found is None:
            raise RefusedError("not_in_store")
        if not isinstance(found, Mapping):
            raise ConfigurationError(
                f"the function that reads old sessions returned a {type(found).__name__}",
                hint="return the session as a mapping, or None if there is none",
            )
        mapping = {str(name): item for name, item in found.items() if name not in RESERVED}
        if self._write is not None and isinstance(subject := found.get(SUBJECT), str):
            mapping[SUBJECT] = subject  # a member with ``writes_old`` has bound it to a user
        return OldSession({**mapping, ID: value}, now, None)

    def dumps(self, data: Mapping[str, Any], now: datetime, *, is_new: bool = True) -> str:
        """Write a session to the store, and return its key. It is whole there: no other request's changes are kept."""
        assert self._write is not None  # noqa: S101 (the constructor refuses ``writes_old`` without it)
        self._write(data[ID], {name: value for name, value in data.items() if name not in {ID, ENDS}})
        return str(data[ID])

    def forget(self, session_id: str) -> None:
        """Delete the old session of an ended or renewed one, if the application has said how."""
        if self._forget is not None:
            self._forget(session_id)
