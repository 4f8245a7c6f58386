"""The policy of a ring: a document beside its keys, which all members read, so that no two of them differ. ::

    <policy version="1" xmlns="urn:dpmiddleware:2026:keys">           stored under the name policy-{date}
      <date>2026-12-01T09:00:00Z</date>
      <lifetime>30d</lifetime> <propagation>2d</propagation> <refresh>1d</refresh>
      <clock_skew>5m</clock_skew> <poll>10s</poll> <max_stale>none</max_stale>
    </policy>

Every time span of `RotationPolicy` is in it, as `dpmiddleware.durations` writes it. Of several documents the one with
the latest date counts. It is signed like the others. .NET skips it, with a warning, whenever it reads the ring.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from dpmiddleware.durations import in_short
from dpmiddleware.errors import ConfigurationError, MalformedDocumentError
from dpmiddleware.instants import Instant
from dpmiddleware.keys.interfaces import StoredDocument
from dpmiddleware.keys.policy import POLICY_SETTINGS, RotationPolicy, no_limit, time_span
from dpmiddleware.keys.xml import NAMESPACE, WHITE_SPACE
from dpmiddleware.printable import printable

__all__ = [
    "POLICY",
    "PolicyDocument",
    "RingPolicy",
    "check_for_ring",
    "load_policy",
    "new_policy",
    "newest",
    "policy_name",
]

POLICY: Final = f"{{{NAMESPACE}}}policy"
_DATE: Final = f"{{{NAMESPACE}}}date"
_VERSION: Final = "1"
_LONGEST_POLL: Final = timedelta(hours=1)
"""An attacker who can write to a ring that is not signed must not keep a revocation from its members for longer."""


@dataclass(frozen=True, slots=True)
class RingPolicy:
    """A policy, and when it was set."""

    date: Instant
    policy: RotationPolicy


@dataclass(frozen=True, slots=True)
class PolicyDocument:
    """A policy in a store."""

    stored: StoredDocument
    element: ET.Element
    set: RingPolicy


def newest(found: Iterable[RingPolicy]) -> RingPolicy | None:
    """The policy that counts; of two with one date, the same one for every member."""
    return max(found, key=lambda one: (one.date, repr(one.policy)), default=None)


def load_policy(stored: StoredDocument, element: ET.Element) -> PolicyDocument:
    """Read a ``<policy>``; `MalformedDocumentError`."""
    version = element.get("version", "")
    if version != _VERSION:
        raise MalformedDocumentError(f"a policy of version {printable(version, 20)!r}, which is not supported")
    values: dict[str, Any] = {name: _value(element, name) for name in POLICY_SETTINGS}
    try:
        policy = RotationPolicy(**values)
    except ConfigurationError as error:
        raise MalformedDocumentError(f"a policy that is not possible: {error}") from None
    if policy.poll > _LONGEST_POLL:
        raise MalformedDocumentError("a policy with a poll of more than an hour: a revocation must not take longer")
    try:
        date = Instant.parse(_text(element, "date"))
    except (ValueError, OverflowError):
        raise MalformedDocumentError("a policy whose <date> is not a date") from None
    return PolicyDocument(stored, element, RingPolicy(date, policy))


def _value(element: ET.Element, name: str) -> timedelta | None:
    try:
        return time_span(name, _text(element, name))
    except ConfigurationError as error:
        raise MalformedDocumentError(f"a policy that cannot be read: {error}") from None


def _text(element: ET.Element, name: str) -> str:
    found = element.findall(f"{{{NAMESPACE}}}{name}")
    if len(found) != 1 or len(found[0]):
        raise MalformedDocumentError(f"a policy without <{name}>, or with more than one")
    return (found[0].text or "").strip(WHITE_SPACE)


def check_for_ring(policy: RotationPolicy) -> RotationPolicy:
    """The policy; `ConfigurationError` for one that members would not accept from a ring."""
    if policy.poll > _LONGEST_POLL:
        problem = f"poll={in_short(policy.poll)} is more than an hour, and a revocation would take as long"
        raise ConfigurationError(problem, hint="use 1h or less")
    return policy


def new_policy(policy: RotationPolicy, *, date: Instant) -> ET.Element:
    """``<policy>``, to be stored."""
    element = ET.Element(POLICY, {"version": _VERSION})
    ET.SubElement(element, _DATE).text = str(date)
    for name in POLICY_SETTINGS:
        ET.SubElement(element, f"{{{NAMESPACE}}}{name}").text = no_limit(getattr(policy, name))
    return element


def policy_name(element: ET.Element) -> str:
    """The name that a policy is stored under."""
    return "policy-" + "".join(letter for letter in _text(element, "date") if letter.isalnum())
