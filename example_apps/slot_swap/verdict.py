"""The verdict on one side of the control room: whether the visitor is signed in there, and which key decides that."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from .visitor import Answer

__all__ = ["Verdict", "verdict"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """kind: how the page shows it. words: what it says, up to the id of ``key``, if there is one."""

    kind: Literal["nobody", "in", "out", "silent"]
    words: str
    key: str | None = None

    @property
    def short(self) -> str:
        """Its first words, such as *logged out*."""
        return self.words.partition(":")[0]


def verdict(answer: Answer | None, ring: Collection[str]) -> Verdict:
    """What follows from the answer of a slot.

    answer: what the slot said of the visitor; ``None`` if it did not answer.
    ring: the ids of the keys that this slot has.
    """
    if answer is None:
        return Verdict("silent", "this slot does not answer")
    key = answer.cookie_key
    if answer.signed_in:
        still = "" if answer.signed_in_at == answer.version else "still "
        return Verdict("in", f"{still}signed in: this slot has key", key)
    if key is None:
        return Verdict("nobody", "nobody is signed in")
    if key in ring:
        return Verdict("out", "logged out: this slot refuses a cookie under its key", key)
    return Verdict("out", "logged out: this slot has no key", key)
