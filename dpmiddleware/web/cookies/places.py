"""Places: what makes two cookies of one name different to a browser, and how to expire a cookie at all of them.

A browser keeps cookies of one name apart by domain, path and partition (RFC 6265, CHIPS). After a release that changes
one of these settings, it holds the old cookie and the new one, and a server does not see which is which. It can only
expire the name at each place that it can name: host-only and each parent domain; ``/`` and each prefix of the request's
path, with and without a trailing slash; partitioned and not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple
from urllib.parse import quote

from dpmiddleware.web.cookies.text import Attributes, attribute_name

__all__ = ["NOWHERE", "Cleanup", "Place", "Where", "everywhere_else", "place_of"]

Place = tuple[str, str, bool]
"""(domain, path, partitioned) of a cookie. No domain: the cookie is host-only. No path: that of the request."""

Where = Callable[[], tuple[str, str]]
"""Returns the Host header and the decoded path of a request."""

_HOST: Final = re.compile(r"(?=.*[a-z])[a-z0-9_-]+(?:\.[a-z0-9_-]+)+")
_PATH: Final = "/:@!$&'()*+=~"
_MOST_DOMAINS: Final = 5
_MOST_FOLDERS: Final = 20
_MOST_BYTES: Final = 2048
_PROXY_BUFFER: Final = 3300
"""Bytes of Set-Cookie that fit beside the other headers into 4 KB, which nginx takes of a response by default."""
_HEADER: Final = len("set-cookie: \r\n")


def NOWHERE() -> tuple[str, str]:  # noqa: N802 (a constant that is called)
    """Host and path of requests of which nothing is known."""
    return "", "/"


class Cleanup(NamedTuple):
    """What to do about cookies of the same name at other places, when a cookie is written or deleted.

    where: of the request.
    always: expire them even if the request brought only one cookie of the name; otherwise only if it brought several.
    taken: the attributes of cookies of this name that the same response sets: these places are left alone.
    https: whether the connection is encrypted, so that there may be partitioned cookies.
    """

    where: Where = NOWHERE
    always: bool = False
    taken: Sequence[Attributes] = ()
    https: bool = False


def place_of(attributes: Attributes, path: str = "") -> Place:
    """The place of a cookie with these attributes. path: that of the request, if it is known."""
    found: dict[str, str] = {}
    for text in attributes:
        found[attribute_name(text)] = text.partition("=")[2].strip()
    own = found.get("path", "")
    default = path[: path.rfind("/")] or "/" if path else ""
    return found.get("domain", "").lower().lstrip("."), own if own.startswith("/") else default, "partitioned" in found


def everywhere_else(
    names: Sequence[str],
    attributes: Attributes,
    cleanup: Cleanup,
    lines: Sequence[str],
    *,
    are_several: bool = False,
) -> list[str]:
    """Return the Set-Cookie lines that expire cookies at all other places, as many as a response can hold.

    names: the names of the cookies, the most important one first.
    attributes: those of the cookie that is written or deleted.
    cleanup: see there.
    lines: the Set-Cookie lines that the response needs anyway.
    are_several: whether the request brought several cookies of one of these names.
    """
    host, path = cleanup.where()
    if not host:
        return []
    path = quote(path, safe=_PATH, errors="surrogatepass")
    own = place_of(attributes, path)
    taken = {own, *(place_of(each, path) for each in cleanup.taken)}
    spent = sum(len(line) + _HEADER for line in lines)
    room = max(_PROXY_BUFFER - spent, _MOST_BYTES if are_several or spent > _PROXY_BUFFER else 0)
    written = {attribute_name(text): text.lower() for text in attributes}
    across = written.get("samesite") == "samesite=none"
    domains, is_secure = ("", *_domains(host, itself=are_several)), cleanup.https or "secure" in written
    others = [place for place in _places(domains, path, own, secure=is_secure) if place not in taken]
    found: list[str] = []
    for name in names:
        host_only, needs_secure = name.lower().startswith("__host-"), name.startswith("__")
        for place in others:
            if host_only and place[:2] != ("", "/"):
                continue
            line = _expiring(name, place, secure=needs_secure or across, across=across)
            room -= len(line) + _HEADER
            if room < 0:
                return found
            found.append(line)
    return found


def _expiring(name: str, place: Place, *, secure: bool, across: bool) -> str:
    """As short as possible: only what says where, and what a browser needs to accept it."""
    domain, path, partitioned = place
    return "; ".join(
        text
        for text in (
            f"{name}=",
            "max-age=0",
            domain and f"domain={domain}",
            f"path={path}",
            (secure or partitioned) and "secure",
            (across or partitioned) and "samesite=none",
            partitioned and "partitioned",
        )
        if text
    )


def _places(domains: Sequence[str], path: str, own: Place, *, secure: bool) -> list[Place]:
    """All places that a server can name, those first that differ least from the cookie's own."""
    partitions = (False, True) if secure else (False,)
    found = [(domain, each, flag) for flag in partitions for domain in domains for each in _paths(path)]
    return sorted(found, key=lambda place: sum(one != other for one, other in zip(place, own, strict=True)))


def _domains(host: str, *, itself: bool) -> Iterator[str]:
    """The host and its parent domains, but for the last one.

    A host of two labels only if ``itself`` says so: the Host header comes from the client, and what it says goes into a
    response no further than it has to.
    """
    domain = host.lower().partition(":")[0].rstrip(".")
    if len(domain) <= 253 and _HOST.fullmatch(domain):
        labels = domain.split(".")
        for at in range(max(len(labels) - _MOST_DOMAINS - 1, 0), len(labels) - 1 if itself or len(labels) > 2 else 0):
            yield ".".join(labels[at:])


def _paths(path: str) -> Iterator[str]:
    """``/`` and the prefixes of a path, with and without a trailing slash."""
    yield "/"
    folders = [folder for folder in path.split("/")[1:] if folder]
    for at in range(1, min(len(folders), _MOST_FOLDERS) + 1):
        prefix = "/" + "/".join(folders[:at])
        yield prefix
        if at < len(folders) or path.endswith("/"):
            yield f"{prefix}/"
