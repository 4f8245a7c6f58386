"""The four runs: on a session key blob and on a ring, without and with a signature that is verified.

The expectation for the blob comes from *Storing a session key* in the documentation of CryptoAPI: without a signature
there is "minimal security only", since anyone with the public exchange key can replace the blob with their own.
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
    """One of the four runs. on: ``blob`` or ``ring``. signed: whether a trusted signature is required."""

    on: str
    signed: bool


RUNS: Final = (
    Run("blob", "session key blob, no signer trusted", "mallory reads the new letter", "blob", signed=False),
    Run(
        "blob-signed",
        "session key blob, one signer trusted",
        "the blob is refused, nothing is written",
        "blob",
        signed=True,
    ),
    Run("ring", "key ring, no signer trusted", "mallory is an administrator", "ring", signed=False),
    Run("ring-signed", "key ring, one signer trusted", "mallory is not signed in", "ring", signed=True),
)


@dataclass(slots=True)
class Outcome(report.Outcome[Run]):
    """The outcome of one run. facts: details for programs."""

    facts: dict[str, object] = field(default_factory=dict[str, object])


def tell(run: Run, folder: Path, say: Callable[[str], None]) -> Outcome:
    """Carry out one run in ``folder`` (created here). ``say`` prints each step."""
    folder.mkdir(parents=True)
    carry_out = on_the_blob.carry_out if run.on == "blob" else on_the_ring.carry_out
    happened, facts = carry_out(folder, say, signed=run.signed)
    say(f"result: {happened}")
    return Outcome(run, facts, happened=happened)
