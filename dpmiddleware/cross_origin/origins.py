"""Origins as text: read from a header, compared with the server's own, and written in settings.

An origin is ``scheme://host`` or ``scheme://host:port`` (RFC 6454). Browsers write it in small letters, in punycode and
without the default port; here it is brought into that form, so two origins are equal if their texts are.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from dpmiddleware.errors import ConfigurationError
from dpmiddleware.printable import printable

__all__ = ["configured", "is_own", "normal", "of_url"]

_ORIGIN: Final = re.compile(
    r"([A-Za-z][A-Za-z0-9+.-]*)://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?"  # scheme, host, port
)
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_LONGEST: Final = 300
"""Characters; the name of a host has 253 at most."""
_SHOWN: Final = 100


def normal(text: str) -> str:
    """The normal form of an origin; "" if this is not an origin."""
    return _normal(text) if len(text) <= _LONGEST else ""


@lru_cache(maxsize=512)
def _normal(text: str) -> str:
    found = _ORIGIN.fullmatch(text)
    if found is None:
        return ""
    scheme, host, port = found[1].lower(), found[2].lower(), found[3]
    if port is None or int(port) == _DEFAULT_PORTS.get(scheme):
        return f"{scheme}://{host}"
    return f"{scheme}://{host}:{int(port)}" if int(port) < 1 << 16 else ""


def of_url(url: str) -> str:
    """The origin of a URL, such as a Referer, in normal form; "" if it has none."""
    scheme, separator, rest = url[: 2 * _LONGEST].partition("://")
    for end in "/?#":
        rest = rest.partition(end)[0]
    return normal(scheme + separator + rest)


def is_own(origin: str, scheme: str, host: str) -> bool:
    """Whether an origin is that of the server which received the request.

    A page over https is also the own one where the server sees http: TLS may end at a proxy. The opposite is not: over
    http, anyone on the way can send a page.

    origin: in normal form. scheme: of the request as the server sees it. host: the Host header.
    """
    of_page = origin.partition(":")[0]
    if of_page != scheme and (of_page, scheme) != ("https", "http"):
        return False
    return bool(origin) and origin == normal(f"{of_page}://{host}")


def configured(text: str, argument: str) -> str:
    """An origin of a setting in normal form; `ConfigurationError` if it is not one.

    argument: the name of the setting.
    """
    found = normal(_in_punycode(text))
    if found:
        return found
    raise ConfigurationError(f"{argument}={printable(text, _SHOWN)!r} is not an origin", hint=_hint(text))


def _hint(text: str) -> str:
    if text == "null":
        return "remove it: every page of an attacker can have this origin; exempt the path instead"
    if "*" in text:
        return "list the origins one by one; a wildcard would trust every subdomain that there will ever be"
    scheme, separator, rest = text.partition("://")
    host, slash, _ = rest.partition("/")
    if separator and host and slash:
        shown = printable(f"{scheme}://{host}", _SHOWN)
        return f"write it without a path: {shown}"
    return "write a scheme and a host, such as https://login.example or http://localhost:3000"


def _in_punycode(text: str) -> str:
    scheme, separator, rest = text.partition("://")
    if text.isascii() or not separator:
        return text
    host, colon, port = rest.partition(":")
    try:
        return f"{scheme}{separator}{host.encode('idna').decode('ascii')}{colon}{port}"
    except UnicodeError:
        return ""
