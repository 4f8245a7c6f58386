"""The four runs: on a session key blob and on a ring, without and with a signature that somebody checks.

What is to be expected of the blob is what *Storing a session key* in CryptoAPI's documentation says: without a
signature "minimal security only", since anybody with the public exchange key can put a blob of his own in its place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ..demo import report
from . import on_the_blob, on_the_ring

__all__ = ["RUNS", "Outcome", "Run", "tell"]


@dataclass(frozen=True, slots=True)
class Run(report.Run):
    """One of the four. on: ``blob`` or ``ring``. signed: a trusted signature is required."""

    on: str
    signed: bool


RUNS: Final = (
    Run("blob", "session key blob, nobody trusted", "mallory reads what is written", "blob", signed=False),
    Run(
        "blob-signed",
        "session key blob, a signer trusted",
        "the blob is refused, nothing is written",
        "blob",
        signed=True,
    ),
    Run("ring", "key ring, nobody trusted", "mallory is admin", "ring", signed=False),
    Run("ring-signed", "key ring, a signer trusted", "mallory is nobody", "ring", signed=True),
)


@dataclass(slots=True)
class Outcome(report.Outcome[Run]):
    """What happened in one run. facts: what was seen, for programs."""

    facts: dict[str, object] = field(default_factory=dict[str, object])


def tell(run: Run, folder: Path, say: Callable[[str], None]) -> Outcome:
    """Carry out one run in ``folder`` (new); ``say`` gets each step as it happens."""
    folder.mkdir(parents=True)
    carry_out = on_the_blob.carry_out if run.on == "blob" else on_the_ring.carry_out
    happened, facts = carry_out(folder, say, signed=run.signed)
    say(f"so: {happened}")
    return Outcome(run, facts, happened=happened)
