"""`ProtectionOptions`: how an application's own cookies are sealed."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TypedDict

from dpmiddleware.web.cookies.text import SameSite

__all__ = ["ProtectionOptions"]


class ProtectionOptions(TypedDict, total=False):
    """Keyword arguments of the middleware: how the cookies are written.

    secure, http_only, partitioned: add this attribute to each cookie.
    same_site: replaces the application's.
    max_age: the lifetime of a value for which the application sets no end; 14 days by default.
    path, domain: where a cookie that can never be opened is deleted; by default ``/`` and none.
    chunk_size, max_total: see `CookieSettings`.
    accept_unprotected_until: until then (aware), cookies from before the switch are accepted; see `Unprotected`.
    writes_unprotected: until then, responses stay as they are, for members of the farm that open no sealed cookies.
    """

    secure: bool
    http_only: bool
    same_site: SameSite | None
    partitioned: bool
    max_age: timedelta
    path: str | None
    domain: str | None
    chunk_size: int | None
    max_total: int
    accept_unprotected_until: datetime | None
    writes_unprotected: bool
