"""What a migration needs of the sessions that an application kept before: `OldSessions`, the base of all kinds.

Old sessions are accepted until a fixed date, which is at most the old maximum age from now. By then, each session that
is still in use has been written in the new form, and all others have ended.

With ``writes_old``, sessions are written in the old form, for members of the farm that cannot read the new one yet.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, ClassVar

from dpmiddleware import telemetry
from dpmiddleware.errors import ConfigurationError
from dpmiddleware.tracebacks import HidesLocals

__all__ = ["OldSession", "OldSessions", "RefusedError"]


@dataclass(frozen=True, slots=True)
class OldSession:
    """The session of an old cookie. Times are aware.

    data: its mapping. issued: when it was written.
    ends: when the new session ends at the latest; ``None``: it lasts as long as any other.
    """

    data: dict[str, Any]
    issued: datetime
    ends: datetime | None


class RefusedError(Exception):
    """An old cookie is refused. The message is the reason for the counter."""


class OldSessions(HidesLocals, ABC):
    """Old sessions of one framework.

    until: when they are no longer accepted; aware.
    max_age: the framework's maximum age of a session.
    writes_old: whether sessions are written in the old form.
    now: the current time, for tests.
    """

    framework: ClassVar[str]
    default_max_age: ClassVar[timedelta] = timedelta(days=14)
    most: int = 16
    """Cookies of the name in which an old session is looked for: those of other applications have no mark."""
    on_server: bool = False
    """Whether the server kept the sessions, and the cookie has only a key, which is the id of the session."""

    def __init__(
        self,
        *,
        until: datetime,
        max_age: timedelta | None = None,
        writes_old: bool = False,
        now: datetime | None = None,
    ) -> None:
        self.max_age = self.default_max_age if max_age is None else max_age
        self.until = _checked_until(until, self.max_age, now or datetime.now(timezone.utc))
        self.writes_old = writes_old

    def is_writing_old(self, now: datetime) -> bool:
        """Whether sessions are written in the old form."""
        return self.writes_old and now < self.until

    def loads(self, value: str, now: datetime) -> OldSession | None:
        """Read an old cookie; ``None`` if it is refused. Counts ``session_migrated`` and ``migration_refused``."""
        try:
            if now >= self.until:
                raise RefusedError("after_until")
            session = self._loads(value, now)
        except RefusedError as reason:
            telemetry.count("migration_refused", str(reason))
            return None
        telemetry.count("session_migrated", self.framework)
        return session

    @abstractmethod
    def _loads(self, value: str, now: datetime) -> OldSession:
        """Read an old cookie before `until`. `RefusedError`."""

    @abstractmethod
    def dumps(self, data: Mapping[str, Any], now: datetime, *, is_new: bool = True) -> str:
        """Write a session in the old form, and return its cookie value.

        is_new: whether the session was not read in the old form.
        """

    def forget(self, session_id: str) -> None:
        """The session with this id was ended or renewed. A cookie with its content cannot be taken back."""


def _checked_until(until: datetime, max_age: timedelta, now: datetime) -> datetime:
    if max_age <= timedelta():
        raise ConfigurationError(f"max_age={max_age} is not positive", hint="pass the maximum age of the old setting")
    if until.tzinfo is None:
        raise ConfigurationError(f"until={until} has no time zone", hint="pass datetime(…, tzinfo=timezone.utc)")
    if until - now > max_age:
        raise ConfigurationError(
            f"until={until} is later than the end of the last old cookie ({max_age} from now)",
            hint="set until= to the day of the change plus the old maximum age",
        )
    return until
