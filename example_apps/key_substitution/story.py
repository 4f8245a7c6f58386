"""The four runs: on a session key blob and on a ring, without and with a signature that somebody checks.

What is to be expected of the blob is what *Storing a session key* in CryptoAPI's documentation says: without a
signature "minimal security only", since anybody with the public exchange key can put a blob of his own in its place.

Before: `.on_the_blob`, `.on_the_ring`. After: `.command`, which prints what is found here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from . import on_the_blob, on_the_ring

__all__ = ["RUNS", "Outcome", "Run", "tell"]


@dataclass(frozen=True, slots=True)
class Run:
    """One of the four. on: ``blob`` or ``ring``. signed: a trusted signature is required. expected: the outcome."""

    id: str
    title: str
    on: str
    signed: bool
    expected: str


RUNS: Final = (
    Run("blob", "session key blob, nobody trusted", "blob", signed=False, expected="mallory reads what is written"),
    Run(
        "blob-signed",
        "session key blob, a signer trusted",
        "blob",
        signed=True,
        expected="the blob is refused, nothing is written",
    ),
    Run("ring", "key ring, nobody trusted", "ring", signed=False, expected="mallory is admin"),
    Run("ring-signed", "key ring, a signer trusted", "ring", signed=True, expected="mallory is nobody"),
)


@dataclass(slots=True)
class Outcome:
    """What happened in one run. facts: what was seen, for programs."""

    run: Run
    happened: str = ""
    facts: dict[str, object] = field(default_factory=dict[str, object])

    @property
    def as_expected(self) -> bool:
        """Whether the attack, or the defence, worked as it should."""
        return self.happened == self.run.expected


def tell(run: Run, folder: Path, say: Callable[[str], None]) -> Outcome:
    """Carry out one run in ``folder`` (new); ``say`` gets each step as it happens."""
    folder.mkdir(parents=True)
    carry_out = on_the_blob.carry_out if run.on == "blob" else on_the_ring.carry_out
    happened, facts = carry_out(folder, say, signed=run.signed)
    say(f"so: {happened}")
    return Outcome(run, happened, facts)
