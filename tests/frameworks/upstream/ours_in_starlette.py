"""A pytest plugin: Starlette's tests find our middleware under the name of its own."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import starlette.middleware.sessions

from dpmiddleware.asgi import SessionMiddleware
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.web.cookies import CookieSettings

RING = DataProtection("starlette's tests", repository="memory:", key_wrapper="plain:")


class OurSessions(SessionMiddleware):
    """Takes what Starlette's takes."""

    def __init__(  # noqa: PLR0917 (as Starlette's)
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
        span = None if max_age is None or max_age <= 0 else timedelta(seconds=max_age)
        cookie = CookieSettings(
            session_cookie,
            path=path,
            domain=domain,
            secure="always" if https_only else "never",
            same_site=same_site,
            partitioned=partitioned,
            max_age=span,
        )
        idle = timedelta(microseconds=1) if max_age is not None and max_age <= 0 else span
        super().__init__(app, data_protection=RING, cookie=cookie, idle=idle)


starlette.middleware.sessions.SessionMiddleware = OurSessions  # type: ignore[assignment, misc]  # the point
