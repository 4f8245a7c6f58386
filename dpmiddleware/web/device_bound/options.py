"""The options of device-bound sign-ins: one word for the level, or a `DeviceBound` for everything else."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal, get_args

from dpmiddleware.arguments import checked
from dpmiddleware.errors import ConfigurationError
from dpmiddleware.names import refuse_unknown
from dpmiddleware.printable import printable
from dpmiddleware.web.cookies.text import CookieSettings
from dpmiddleware.web.device_bound.proof import ALGORITHMS

__all__ = ["DeviceBound", "Level", "Offer", "device_bound_from"]

Level = Literal["serve", "report", "require"]
Offer = Literal["sign_in", "always"]

REFRESHED_AHEAD: Final = timedelta(seconds=120)
"""A cookie with less than this left is refreshed with every request (Chromium 156)."""
_PATH: Final = re.compile(r"(?:/[A-Za-z0-9._~-]+)+")
_EXCLUDED: Final = re.compile(r"/[!-~]*")
_INITIATOR: Final = re.compile(r"\*|(?:\*\.)?[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*")


@checked
@dataclass(frozen=True, slots=True)
class DeviceBound:
    """How sign-ins are bound to the browser that signed in. Experimental: the specification is a draft.

    level: ``serve``: browsers that have a session of this kind are answered, and nothing is offered or required.
    ``report``: new sign-ins are offered one; requests without proof are let in, and counted. ``require``: a request
    with a bound ticket, but without proof, is anonymous.
    short_lived: how long a browser is believed after it has proven possession of its key.
    challenge_max_age: how long a browser has to answer a challenge.
    grace: how long the short-lived cookie is valid beyond ``short_lived``, for requests that are in progress and for
    servers whose clocks differ.
    path: where in the application the two endpoints are, ``registration`` and ``refresh``. Each scheme needs a path of
    its own.
    offer: ``sign_in``: only when a user signs in. ``always``: any sign-in that is not bound is offered a session. That
    binds sign-ins from before, too, each to the first browser that answers, which may be one with a stolen copy.
    exclude: paths that never look at the user; their requests do not wait for a proof.
    allowed_refresh_initiators: hosts of other sites whose links may wait for a proof; ``*.partner.example`` or ``*``.
    They can then measure whether a visitor is signed in.
    algorithms: of the browser's keys, the preferred one first.
    since: what was bound before does not count as bound, and can be bound again. For operators whose servers have
    lost the sessions of browsers.
    """

    level: Level
    _: KW_ONLY
    short_lived: timedelta = timedelta(minutes=10)
    challenge_max_age: timedelta = timedelta(minutes=5)
    grace: timedelta = timedelta(seconds=60)
    path: str = "/.well-known/dbsc"
    offer: Offer = "sign_in"
    exclude: Sequence[str] = ("/static",)
    allowed_refresh_initiators: Sequence[str] = ()
    algorithms: Sequence[str] = ALGORITHMS
    since: datetime | None = None

    def __post_init__(self) -> None:
        _refuse(_impossible(self))

    @property
    def offers(self) -> bool:
        """Whether new sign-ins are offered a session."""
        return self.level != "serve"

    @property
    def enforces(self) -> bool:
        """Whether a request without proof is anonymous."""
        return self.level == "require"

    def refuse_for(self, cookie: CookieSettings, expire_time_span: timedelta) -> None:
        """Raise a `ConfigurationError` if sign-ins with this cookie cannot be bound."""
        impossible = (
            (
                cookie.secure == "never",
                "the cookie is never Secure, and browsers bind only over https",
                "set secure='same_as_request' or 'always'",
            ),
            (cookie.partitioned, "browsers cannot bind a partitioned cookie", "set partitioned=False"),
            (
                cookie.domain is not None,
                f"the cookie is sent to all hosts of domain={cookie.domain!r}, and only this one could refresh it",
                "leave out domain=",
            ),
            (cookie.path is None, "the cookie has no path", "set path='/'"),
            (
                self.short_lived >= expire_time_span,
                f"short_lived={self.short_lived} is not shorter than expire_time_span={expire_time_span}",
                "set short_lived=timedelta(minutes=10), or a longer expire_time_span",
            ),
        )
        _refuse(impossible)


def _refuse(impossible: Iterable[tuple[bool, str, str]]) -> None:
    for wrong, problem, hint in impossible:
        if wrong:
            raise ConfigurationError(f"device_bound: {problem}", hint=hint)


def _impossible(options: DeviceBound) -> Iterator[tuple[bool, str, str]]:
    """(whether it is so, the problem, a hint) for each option that cannot work."""
    for name, kind in (("level", Level), ("offer", Offer)):
        given, words = getattr(options, name), get_args(kind)
        yield given not in words, f"{name}={printable(given)!r} is unknown", f"use {', '.join(words)}"
    yield (
        options.short_lived <= REFRESHED_AHEAD,
        f"short_lived={options.short_lived}: browsers refresh with every request when two minutes are left",
        "set short_lived=timedelta(minutes=10), and not less than 5",
    )
    for name in ("challenge_max_age", "grace"):
        given, least = getattr(options, name), timedelta(seconds=0 if name == "grace" else 1)
        yield given < least, f"{name}={given} is too short", f"leave out {name}="
    yield (
        not _PATH.fullmatch(options.path),
        f"path={printable(options.path)!r} is not a path of letters, digits and ._~-, without a slash at its end",
        'use "/.well-known/dbsc"',
    )
    for path in options.exclude:
        wrong = not _EXCLUDED.fullmatch(path)
        yield wrong, f"exclude={printable(path)!r} is not a path", 'use paths such as "/static"'
    for host in options.allowed_refresh_initiators:
        wrong = not _INITIATOR.fullmatch(host)
        yield (
            wrong,
            f"allowed_refresh_initiators={printable(host)!r} is not a host",
            'use "partner.example" or "*.partner.example"',
        )
    unknown = [each for each in options.algorithms if each not in ALGORITHMS]
    yield (
        bool(unknown) or not options.algorithms,
        f"algorithms={printable(list(options.algorithms))} has none or unknown ones",
        f"use {', '.join(ALGORITHMS)}",
    )
    yield (
        options.since is not None and options.since.tzinfo is None,
        f"since={options.since} has no time zone",
        "add tzinfo=timezone.utc",
    )


def device_bound_from(given: DeviceBound | str | Mapping[str, Any]) -> DeviceBound:
    """The options given as such, as a level, or as a mapping in a settings file."""
    if isinstance(given, DeviceBound):
        return given
    if isinstance(given, str):
        return DeviceBound(given)  # type: ignore[arg-type]  # an unknown text has an error of its own
    if "level" not in given:
        raise ConfigurationError("device_bound has no level", hint=f"add level: {', '.join(get_args(Level))}")
    refuse_unknown(given, [name for name in DeviceBound.__dataclass_fields__ if name != "_"])
    return DeviceBound(**given)
