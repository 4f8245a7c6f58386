"""What a browser is told that could prove its key, but did not. It is told once in ten seconds. ::

    REPEAT   a bound cookie was sent, but is of no use      307 to the same URL, and the cookie is deleted: the browser
             (another session, spoilt, a wrong clock)       gets a new one and sends the request again, with its body
    PAGE     none was sent, by a link on another site       a page that loads itself again

Chromium 156 gets no new cookie for a navigation that another site or origin began, since the time it takes would tell
that site whether the user is signed in. It does not tell the server either. A page's own reload is different.
"""

from __future__ import annotations

from typing import Final, Literal

from dpmiddleware.web.answer import Answer, Headers, never_stored
from dpmiddleware.web.device_bound.bound_cookie import BoundCookie
from dpmiddleware.web.device_bound.service import Visit
from dpmiddleware.web.sign_in.return_urls import is_local, location

__all__ = ["Again", "answer", "decide"]

Again = Literal["repeat", "page"]

_FROM_ELSEWHERE: Final = {"cross-site", "same-site"}
_REPLACED: Final = frozenset(("location", "refresh", "set-cookie", "www-authenticate"))
"""Of the application's response, which was for an anonymous user."""
_PAGE: Final = (
    b'<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0"><link rel="icon" href="data:,">'
    b'<title>One moment</title><p>One moment, please. <a href="">Continue</a>'
)


def decide(cookie: BoundCookie, visit: Visit) -> Again | None:
    """How to ask the browser of an unproven request to come again; ``None``: not at all."""
    request = visit.request
    if not request.method or cookie.is_marked(visit.cookies):
        return None
    if cookie.is_in(visit.cookies):
        return "repeat" if is_local(request.url) else None
    told = {name: request.header(f"sec-fetch-{name}") for name in ("mode", "dest", "site")}
    is_page = request.method == "GET" and (told["mode"], told["dest"]) == ("navigate", "document")
    return "page" if is_page and told["site"] in _FROM_ELSEWHERE else None


def answer(again: Again, cookie: BoundCookie, visit: Visit, headers: Headers) -> Answer:
    """The whole response.

    headers: those of the response that it replaces.
    """
    if again == "page":
        described = [("refresh", "0"), ("content-type", "text/html; charset=utf-8")]
        lines, status, body = [cookie.marked()], 200, _PAGE
    else:
        described = [("location", location(visit.request.url))]
        lines, status, body = [*cookie.delete(visit.cookies, visit.where), cookie.marked()], 307, b""
    basis = never_stored(headers, lines)
    added = [*basis.added, *described, ("content-length", str(len(body)))]
    return Answer(added, basis.dropped | _REPLACED, status, body)
