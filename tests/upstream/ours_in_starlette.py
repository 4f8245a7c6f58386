"""A pytest plugin: Starlette's tests find our middleware and our session under the names of its own."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import starlette.middleware.sessions
from rings import new_ring  # type: ignore[import-not-found]  # beside this file, where it runs

from dpmiddleware.starlette import SessionMiddleware
from dpmiddleware.web.cookies.text import CookieSettings
from dpmiddleware.web.sessions.session import Session
from dpmiddleware.web.sessions.stored import JSON, StoredSession, milliseconds

RING = new_ring()


class OurSessions(SessionMiddleware):
    """Accepts the arguments of Starlette's middleware."""

    def __init__(  # noqa: PLR0917 (the signature is Starlette's)
        self,
        app: Any,
        secret_key: object,
        session_cookie: str = "session",
        max_age: int | None = 14 * 24 * 60 * 60,
        path: str = "/",
        same_site: Any = "lax",
        https_only: bool = False,
        domain: str | None = None,
        partitioned: bool = False,
    ) -> None:
        span = None if max_age is None else timedelta(seconds=max_age)
        cookie = CookieSettings(
            session_cookie,
            path=path,
            domain=domain,
            secure="always" if https_only else "never",
            same_site=same_site,
            partitioned=partitioned,
            max_age=span,
        )
        super().__init__(app, data_protection=RING, cookie=cookie, idle=span)


def session_of(mapping: dict[str, Any]) -> Session:
    """Return a session that a cookie held, with this content; Starlette's class takes the mapping itself."""
    now = milliseconds(datetime.now(timezone.utc))
    kept = {"_dpm_id": "its id", **mapping}
    return Session(lambda _: StoredSession(now, now, JSON.dumps(kept), dict(kept)))


for _name, _ours in (("SessionMiddleware", OurSessions), ("Session", session_of)):
    setattr(starlette.middleware.sessions, _name, _ours)
