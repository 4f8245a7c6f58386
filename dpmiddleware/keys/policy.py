"""The rotation policy: how long keys live, and how fast a change takes effect.

As settings, each time span has a name of its own (``lifetime``, ``poll``, …) and may be written as text (``30d``). The
ring itself may have a policy, which all of its members follow: `dpmiddleware.keys.ring_policy`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from typing import Any, Final, TypedDict

from dpmiddleware.arguments import checked
from dpmiddleware.durations import EXAMPLES, duration, in_short
from dpmiddleware.errors import ConfigurationError
from dpmiddleware.secret_sources import shown_value

__all__ = ["POLICY_SETTINGS", "PolicySettings", "RotationPolicy", "no_limit", "policy_from", "stated_in", "time_span"]

_SHORTEST: Final = timedelta(days=7)
_NO_LIMIT: Final = "none"
"""The text of ``max_stale=None``."""


@checked
@dataclass(frozen=True, kw_only=True)
class RotationPolicy:
    """The lifetime of keys, and how fast a change takes effect.

    lifetime: from creation to expiration of a key; at least 7 days. Expired keys still unprotect.
    propagation: how long before its first use a successor is created, so that every member of the farm has it by then.
    refresh: after this time at most the whole ring is read again, changed or not.
    clock_skew: the difference allowed between the clocks of the farm.
    poll: how often the store is asked for its version; a revocation is in force everywhere after this time.
    max_stale: age of the last successful check beyond which requests are answered 503; at least two polls, ``None``:
    no limit.
    """

    lifetime: timedelta = timedelta(days=90)
    propagation: timedelta = timedelta(days=2)
    refresh: timedelta = timedelta(hours=24)
    clock_skew: timedelta = timedelta(minutes=5)
    poll: timedelta = timedelta(seconds=10)
    max_stale: timedelta | None = None

    def __post_init__(self) -> None:
        if self.lifetime < _SHORTEST:
            raise ConfigurationError(
                f"lifetime={in_short(self.lifetime)} is shorter than 7 days", hint="use 7d or more; the default is 90d"
            )
        for name in ("propagation", "clock_skew", "refresh", "poll"):
            span: timedelta = getattr(self, name)
            if span < timedelta() or (not span and name in {"refresh", "poll"}):
                problem = f"{name}={in_short(span)} is {'zero' if not span else 'negative'}"
                raise ConfigurationError(problem, hint=f"use the default, {in_short(_DEFAULTS[name])}")
        if self.propagation + self.refresh >= self.lifetime:
            raise ConfigurationError(
                f"propagation={in_short(self.propagation)} and refresh={in_short(self.refresh)} together are not "
                f"shorter than lifetime={in_short(self.lifetime)}",
                hint="use a longer lifetime: a successor is created before the key expires",
            )
        if self.max_stale is not None and self.max_stale < 2 * self.poll:
            raise ConfigurationError(
                f"max_stale={in_short(self.max_stale)} is shorter than two polls of {in_short(self.poll)}: "
                "a ring would be too old during its next check",
                hint="use 5m, or omit it",
            )


POLICY_SETTINGS: Final = tuple(field.name for field in fields(RotationPolicy))
"""The names of the time spans, which are names of settings, too."""
_DEFAULTS: Final[dict[str, Any]] = {field.name: field.default for field in fields(RotationPolicy)}


class PolicySettings(TypedDict, total=False):
    """The time spans of a `RotationPolicy` as keyword arguments. Text is a duration, a number counts as seconds."""

    lifetime: timedelta | str | None
    propagation: timedelta | str | None
    refresh: timedelta | str | None
    clock_skew: timedelta | str | None
    poll: timedelta | str | None
    max_stale: timedelta | str | None


def policy_from(settings: Mapping[str, Any], base: RotationPolicy | None = None) -> RotationPolicy:
    """``base`` with the time spans that the settings state; ``None`` states none. `ConfigurationError`."""
    stated: dict[str, Any] = {
        name: time_span(name, settings[name]) for name in POLICY_SETTINGS if settings.get(name) is not None
    }
    return replace(base or RotationPolicy(), **stated)


def time_span(name: str, given: timedelta | float | str) -> timedelta | None:
    """The value of one setting; ``None``: no limit. `ConfigurationError` shows the name and the value."""
    if isinstance(given, timedelta):
        return given
    try:
        if isinstance(given, str):
            return None if name == "max_stale" and given.strip().lower() == _NO_LIMIT else duration(given)
        return timedelta(seconds=given)
    except (TypeError, ValueError, OverflowError):
        unit = "; a number needs its unit" if str(given).strip().isdigit() else ""
        problem = f"{name}={shown_value(given)} is not a duration{unit}"
        raise ConfigurationError(problem, hint=f"write {EXAMPLES}") from None


def no_limit(span: timedelta | None) -> str:
    """The text of the value of a setting."""
    return _NO_LIMIT if span is None else in_short(span)


def stated_in(settings: Mapping[str, Any], policy: RotationPolicy | None) -> frozenset[str]:
    """The names that settings state, and those of a policy that differ from the defaults."""
    by_policy = {name for name in POLICY_SETTINGS if policy and getattr(policy, name) != _DEFAULTS[name]}
    return frozenset(by_policy | {name for name in POLICY_SETTINGS if settings.get(name) is not None})
