"""Whether a request may change something: `decide`, from what browsers say about where a request comes from.

A pure function of a few header values: no cookie, no token, no key, no clock, no I/O. Its steps, the first that applies
decides:

1.  a path that is exempt, or a safe method (never for a websocket): allow
2.  ``Sec-Fetch-Site`` or ``Origin`` with several values: refuse
3.  ``Sec-Fetch-Site: same-origin``: allow. If ``Origin`` contradicts it: refuse if strict
4.  ``none`` (the user typed it) without a foreign ``Origin``: allow
5.  an ``Origin`` that is trusted: allow
6.  ``same-site`` if neighbours may: allow; any other ``Sec-Fetch-Site``: refuse
7.  ``Origin``: allow the own one, refuse others
8.  ``Referer``: allow the own or a trusted one, refuse others
9.  none of these headers: allow unless they are required

Sources: W3C Fetch Metadata, WHATWG Fetch (Origin), RFC 9110 and RFC 10008 (safe methods); the order follows Go's
``net/http.CrossOriginProtection``. docs/cross-origin.md says what this protects against.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from dpmiddleware.arguments import checked
from dpmiddleware.cross_origin.origins import configured, is_own, normal, of_url
from dpmiddleware.errors import ConfigurationError
from dpmiddleware.printable import printable

__all__ = ["EXEMPT", "SAFE_METHODS", "SAME_ORIGIN", "CrossOriginRules", "Verdict", "decide"]

SAFE_METHODS: Final = frozenset(("GET", "HEAD", "OPTIONS", "TRACE", "QUERY"))
"""Methods that change nothing, exactly as they are written here (RFC 9110, RFC 10008)."""
_ODD: Final = ("..", "//", "%", "\\", ";")
"""In a path: servers, proxies and frameworks differ in what they make of these."""
_ENCRYPTED_OR_NOT: Final = {"ws": "http", "wss": "https"}


class Verdict(NamedTuple):
    """What `decide` says. allowed: whether the request may proceed. reason: the step that decided, as one word."""

    allowed: bool
    reason: str


EXEMPT: Final = Verdict(allowed=True, reason="exempt")
"""That of an exempt path or route."""
_SAFE: Final = Verdict(allowed=True, reason="safe_method")
_SEVERAL: Final = Verdict(allowed=False, reason="several_values")
SAME_ORIGIN: Final = Verdict(allowed=True, reason="same_origin")
"""That of nearly all requests."""
_DISAGREE: Final = {allowed: Verdict(allowed=allowed, reason="headers_disagree") for allowed in (True, False)}
_BY_USER: Final = Verdict(allowed=True, reason="by_user")
_TRUSTED: Final = Verdict(allowed=True, reason="trusted_origin")
_NEIGHBOUR: Final = Verdict(allowed=True, reason="same_site")
_REFUSED_SITES: Final = {
    "none": Verdict(allowed=False, reason="none_with_foreign_origin"),
    "cross-site": Verdict(allowed=False, reason="cross_site"),
    "same-site": Verdict(allowed=False, reason="same_site"),
}
_UNKNOWN_SITE: Final = Verdict(allowed=False, reason="unknown_site")
_OWN_ORIGIN: Final = Verdict(allowed=True, reason="own_origin")
_FOREIGN_ORIGIN: Final = Verdict(allowed=False, reason="foreign_origin")
_OWN_REFERER: Final = Verdict(allowed=True, reason="own_referer")
_FOREIGN_REFERER: Final = Verdict(allowed=False, reason="foreign_referer")
_NO_HEADERS: Final = {allowed: Verdict(allowed=allowed, reason="no_headers") for allowed in (True, False)}


@checked
@dataclass(frozen=True)
class CrossOriginRules:
    """What an application allows beyond its own pages. Wrong settings are a `ConfigurationError` here.

    origins: the public origins of the application, such as ``["https://shop.example"]``. Where they are given, the Host
    header is ignored.
    trusted_origins: other origins whose pages may act as the user. No wildcards.
    exempt: paths that other sites may post to: exact, or everything below one that ends with ``/``. They need a proof
    of their own (a signature, a state).
    same_site: "allow" trusts all subdomains and ports of the site.
    require_headers: ``True`` refuses requests without any of the headers; "cookies" only those that carry a cookie.
    strict: refuse ``Sec-Fetch-Site: same-origin`` with a foreign ``Origin``. By default if ``origins`` are given.
    """

    origins: Iterable[str] = ()
    trusted_origins: Iterable[str] = ()
    exempt: Iterable[str] = ()
    same_site: Literal["deny", "allow"] = "deny"
    require_headers: bool | Literal["cookies"] = False
    strict: bool | None = None
    own: frozenset[str] = field(init=False, repr=False)
    trusted: frozenset[str] = field(init=False, repr=False)
    has_exempt_paths: bool = field(init=False, repr=False)
    _paths: frozenset[str] = field(init=False, repr=False)
    _folders: tuple[str, ...] = field(init=False, repr=False)
    _is_strict: bool = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.same_site not in {"deny", "allow"}:
            raise ConfigurationError(
                f"same_site={printable(self.same_site)!r} is unknown", hint='use "deny" or "allow"'
            )
        if self.require_headers not in {True, False, "cookies"}:
            wrong = printable(self.require_headers)
            raise ConfigurationError(f"require_headers={wrong!r} is unknown", hint='use True, False or "cookies"')
        exempt = [_path(each) for each in self.exempt]
        own = frozenset(configured(each, "origins") for each in self.origins)
        self._set("own", own)
        self._set("trusted", frozenset(configured(each, "trusted_origins") for each in self.trusted_origins))
        self._set("has_exempt_paths", bool(exempt))
        self._set("_paths", frozenset(exempt))
        self._set("_folders", tuple(each for each in exempt if each.endswith("/")))
        self._set("_is_strict", bool(own) if self.strict is None else self.strict)

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def exempts(self, path: str) -> bool:
        """Whether a path is exempt. One that could be read in two ways never is."""
        path = path.partition("?")[0]
        if any(odd in path for odd in _ODD):
            return False
        return path in self._paths or path.startswith(self._folders)

    def owns(self, origin: str, scheme: str, host: str) -> bool:
        """Whether an origin in normal form is the application's own."""
        return origin in self.own if self.own else is_own(origin, _ENCRYPTED_OR_NOT.get(scheme, scheme), host)

    def contradicted(self, origin: str, scheme: str, host: str) -> Verdict:
        """For ``same-origin`` and an Origin: they agree, or not."""
        found = normal(origin)
        if origin in {"", "null"} or self.owns(found, scheme, host) or found in self.trusted:
            return SAME_ORIGIN
        return _DISAGREE[not self._is_strict]


def _path(path: str) -> str:
    if not path.startswith("/") or any(odd in path for odd in (*_ODD, "?", "#")):
        raise ConfigurationError(
            f"exempt={printable(path)!r} can never match", hint="write a path like /hooks, or /hooks/ for all below it"
        )
    if path == "/":
        raise ConfigurationError("exempt='/' exempts every path", hint="list the paths that other sites may post to")
    return path


_DEFAULT: Final = CrossOriginRules()


def decide(  # noqa: PLR0911, PLR0917 (a list of steps, over the facts about a request)
    method: str,
    scheme: str,
    host: str,
    headers: Mapping[str, str],
    path: str = "",
    websocket: bool = False,
    *,
    rules: CrossOriginRules = _DEFAULT,
) -> Verdict:
    """Whether a request may proceed; see the module for the steps.

    method: as the client sent it. A method override in a header or form does not count.
    scheme: "https" or "http" (or "wss", "ws"), as the server sees it.
    host: the Host header.
    headers: by name in small letters; lines with the same name joined with ", ". Only ``sec-fetch-site``, ``origin``,
    ``referer`` and ``cookie`` (whether there is one) are read.
    path: with or without a query; only needed if the rules exempt paths.
    websocket: whether this is the handshake of a websocket, which no method makes safe.
    rules: what the application allows beyond its own pages.
    """
    if method in SAFE_METHODS and not websocket:
        return _SAFE
    if rules.has_exempt_paths and rules.exempts(path):
        return EXEMPT
    site, origin = headers.get("sec-fetch-site", ""), headers.get("origin", "")
    if site == "same-origin" and origin == f"{scheme}://{host}" and not rules.own:
        return SAME_ORIGIN  # what pages send, without a closer look
    if "," in site or "," in origin:
        return _SEVERAL
    if site == "same-origin":
        return rules.contradicted(origin, scheme, host)
    found = normal(origin)
    if site == "none" and (not origin or rules.owns(found, scheme, host)):
        return _BY_USER
    if found in rules.trusted:
        return _TRUSTED
    if site:
        return _of_another_site(site, rules)
    if origin:
        return _OWN_ORIGIN if rules.owns(found, scheme, host) else _FOREIGN_ORIGIN
    return _without_origin(scheme, host, headers, rules)


def _of_another_site(site: str, rules: CrossOriginRules) -> Verdict:
    """The step 6."""
    if site == "same-site" and rules.same_site == "allow":
        return _NEIGHBOUR
    return _REFUSED_SITES.get(site, _UNKNOWN_SITE)


def _without_origin(scheme: str, host: str, headers: Mapping[str, str], rules: CrossOriginRules) -> Verdict:
    """The steps 8 and 9: no current browser."""
    referer = headers.get("referer", "")
    if referer:
        found = of_url(referer)
        return _OWN_REFERER if rules.owns(found, scheme, host) or found in rules.trusted else _FOREIGN_REFERER
    required = bool(headers.get("cookie", "")) if rules.require_headers == "cookies" else rules.require_headers
    return _NO_HEADERS[not required]
