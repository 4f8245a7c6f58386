r"""Where to send a browser: which return URLs are ours, and what may be in ``Location``.

    Location  := path-absolute, or a URI that the application itself gave; ASCII without spaces
    challenge := path base ‖ login path ‖ "?" ‖ parameter ‖ "=" ‖ percent-encoded path and query of the request

A return URL comes from the client. It is accepted if it is a path on this host: ``/`` that is followed neither by ``/``
nor by ``\``. It may not contain control characters, because browsers drop them: ``/<TAB>/evil.example`` would become
``//evil.example``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, quote

from dpmiddleware.arguments import checked

__all__ = ["AJAX", "WebRequest", "is_local", "location", "quoted_path"]

AJAX: Final = "XMLHttpRequest"
_REQUESTED_WITH: Final = "x-requested-with"
_FETCH_MODE: Final = "sec-fetch-mode"
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f]")
_PATH: Final = "/:@!$&'()*+,;=~"
_URI: Final = _PATH + "%?#[]"
_MAX_FIELDS: Final = 1000


@dataclass(frozen=True, slots=True)
class WebRequest:
    """What matters of a request, independent of a framework.

    cookies: its Cookie headers, joined with ``; ``.
    https: whether the connection is encrypted.
    path_base: where the application is mounted; decoded.
    path: the rest of the path; decoded.
    query: as it was sent, without ``?``.
    header: returns a header by its name in lower case; ``""`` if there is none.
    native: what events get as the request (environ, scope, or the framework's request).
    method: in capitals; empty for a websocket.
    """

    cookies: bytes = b""
    https: bool = False
    path_base: str = ""
    path: str = "/"
    query: str = ""
    header: Callable[[str], str] = lambda _: ""
    native: Any = None
    method: str = ""

    def where(self) -> tuple[str, str]:
        """The Host header and the decoded path."""
        return self.header("host"), self.path_base + self.path

    @property
    def is_ajax(self) -> bool:
        """Whether a header or query parameter ``X-Requested-With`` says exactly ``XMLHttpRequest``."""
        return self.header(_REQUESTED_WITH) == AJAX or self.parameter(_REQUESTED_WITH) == AJAX

    @property
    def is_fetch(self) -> bool:
        """Whether the browser says (``Sec-Fetch-Mode``) that the user is not going to another page with the request."""
        return self.header(_FETCH_MODE) not in {"", "navigate"}

    @property
    def url(self) -> str:
        """Path and query, percent-encoded, as a return URL names them."""
        path = quoted_path(self.path_base + self.path)
        query = quote(self.query, safe=_URI, errors="surrogatepass")
        return f"{path}?{query}" if query else path

    def parameter(self, name: str) -> str | None:
        """The query parameter ``name`` (in any case), decoded; ``None`` if it is not given exactly once."""
        try:
            fields = parse_qsl(self.query, keep_blank_values=True, max_num_fields=_MAX_FIELDS, errors="replace")
        except ValueError:
            return None
        values = [value for key, value in fields if key.lower() == name.lower()]
        return values[0] if len(values) == 1 else None

    def is_at(self, path: str) -> bool:
        """Whether the request is for ``path`` within the application; case is ignored, a trailing slash is not."""
        return self.path.lower() == path.lower()

    def redirect_to(self, path: str, parameter: str, return_url: str) -> str:
        """A path of the application, with the return URL in its query."""
        target = quoted_path(self.path_base + path)
        return f"/{target.lstrip('/')}?{quote(parameter, safe='')}={quote(return_url, safe='', errors='surrogatepass')}"


def quoted_path(path: str) -> str:
    """A decoded path, percent-encoded."""
    return quote(path, safe=_PATH, errors="surrogatepass")


@checked
def is_local(url: str) -> bool:
    """Whether a decoded return URL stays on this host."""
    if _CONTROL.search(url):
        return False
    return url == "/" or (len(url) > 1 and url[0] == "/" and url[1] not in "/\\")


def location(uri: str) -> str:
    r"""A URI fit for a header: anything but ASCII, white space, quotes and ``\`` are percent-encoded."""
    return quote(uri, safe=_URI, errors="surrogatepass")
