"""The four runs: a swap and an A/B test, each with one ring per slot and with one shared ring.

The expectations are what the documentation of ASP.NET Core says about deployment slots: each slot has its own key ring,
so after a swap, and in A/B testing, a slot cannot read what the other one protected, and users are logged out. A key
store outside the slots avoids this. (*Key management and lifetime in ASP.NET Core*, *Deployment slots*:
https://learn.microsoft.com/aspnet/core/security/data-protection/configuration/default-settings)
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ..demo import report
from ..demo.process import ServerFailedError
from .front import Front
from .slot import Slot
from .visitor import Answer, Visitor

__all__ = ["RUNS", "Farm", "Outcome", "Run", "open_farm", "tell"]

NAME: Final = "ada"
PASSWORD: Final = "analytical"  # noqa: S105 (the example's only customer)
TURNS: Final = 6
"""How often the visitor returns while two versions answer alternately."""


@dataclass(frozen=True, slots=True)
class Run(report.Run):
    """One of the four runs. shared: whether both slots share a ring. in_turn: A/B testing instead of a swap."""

    shared: bool
    in_turn: bool


RUNS: Final = (
    Run("swap-own", "swap, one ring per slot", "logged out", shared=False, in_turn=False),
    Run("swap-shared", "swap, one shared ring", "still signed in", shared=True, in_turn=False),
    Run("turns-own", "A/B, one ring per slot", "logged out on every other request", shared=False, in_turn=True),
    Run("turns-shared", "A/B, one shared ring", "still signed in", shared=True, in_turn=True),
)


@dataclass(slots=True)
class Outcome(report.Outcome[Run]):
    """The outcome of one run. answers: the answers to the visitor, sign-in first. refusals: the refusals in the logs.

    keys: the ids of the keys in each ring at the end, by name of the ring.
    """

    answers: list[Answer] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    keys: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Farm:
    """Two running slots and their front end. rings: the key folders by name."""

    production: Slot
    staging: Slot
    front: Front
    rings: dict[str, Path]

    @contextlib.contextmanager
    def logs_in_errors(self) -> Generator[None]:
        """Turn a failed request into a `ServerFailedError` with the logs of the slots."""
        try:
            yield
        except OSError as error:  # among them HTTPError and URLError
            logs = "\n".join(slot.log()[-2000:] for slot in (self.production, self.staging))
            raise ServerFailedError(f"a request failed: {error}; the logs of the slots end:\n{logs}") from error

    def keys(self) -> dict[str, list[str]]:
        """The ids of the keys in each ring."""
        return {name: sorted(file.stem[4:] for file in ring.glob("key-*.xml")) for name, ring in self.rings.items()}

    def ring_of(self, slot: Slot) -> str:
        """The name of the ring that a slot reads."""
        return slot.name if slot.name in self.rings else "shared"


@contextlib.contextmanager
def open_farm(folder: Path, *, shared: bool, cookie: str = "session") -> Generator[Farm]:
    """Start version 1.0 in production and 2.0 in staging at the same time, and stop them with the context."""
    settings = {"PLANTS_COOKIE": cookie}
    if shared:
        settings["PLANTS_KEYS"] = str(folder / "shared-keys")
    production = Slot("production", "1.0", folder, settings)
    staging = Slot("staging", "2.0", folder, settings)
    rings = (
        {"shared": folder / "shared-keys"} if shared else {slot.name: slot.own_keys for slot in (production, staging)}
    )
    with contextlib.ExitStack() as stack:
        for slot in (production, staging):
            stack.callback(slot.stop)
        with ThreadPoolExecutor() as pool:
            list(pool.map(Slot.start, (production, staging)))
        yield Farm(production, staging, stack.enter_context(Front(production, staging)), rings)


def tell(run: Run, folder: Path, say: Callable[[str], None]) -> Outcome:
    """Carry out one run in ``folder`` (empty). ``say`` prints each step."""
    outcome = Outcome(run)
    say("starting production (version 1.0) and staging (version 2.0) …")
    with open_farm(folder, shared=run.shared) as farm:
        for name, ring in farm.rings.items():
            say(f"ring {name!r} is in …{str(ring).removeprefix(str(folder))}")
        with farm.logs_in_errors():
            _visit(farm, outcome, say)
        outcome.refusals = _reasons(farm, say)
        outcome.keys = farm.keys()
    for name, keys in outcome.keys.items():
        say(f"keys of ring {name!r}: {', '.join(keys) or '(none)'}")
    outcome.happened = _in_words(outcome)
    say(f"result: {outcome.happened}")
    return outcome


def _visit(farm: Farm, outcome: Outcome, say: Callable[[str], None]) -> None:
    """Sign in, swap and return; or sign in and return repeatedly while both slots answer."""
    visitor = Visitor(farm.front.url)
    note = _notes(outcome, say)
    note(f"{NAME} signs in at {farm.front.url}", visitor.sign_in(NAME, PASSWORD))
    if outcome.run.in_turn:
        say("both versions now answer alternately (A/B)")
        farm.front.serve_in_turn()
        for _ in range(TURNS):
            note(f"{NAME} returns", visitor.come_back())
    else:
        farm.front.swap()
        say("the slots are swapped: staging is production now")
        note(f"{NAME} returns", visitor.come_back())


def _notes(outcome: Outcome, say: Callable[[str], None]) -> Callable[[str, Answer], None]:
    def note(what: str, answer: Answer) -> None:
        outcome.answers.append(answer)
        seen = f"signed in as {answer.signed_in_as}" if answer.signed_in else "not signed in"
        key = (answer.cookie_key or "none")[:8]
        say(f"{what}: version {answer.version} shows {seen!r} (cookie protected with key {key}…)")

    return note


def _reasons(farm: Farm, say: Callable[[str], None]) -> list[str]:
    """The refusals in the logs of both slots."""
    lines = [(slot, line) for slot in (farm.production, farm.staging) for line in slot.refusals()]
    for slot, line in lines:
        say(f"log of version {slot.version}: {line}")
    return [line for _, line in lines]


def _in_words(outcome: Outcome) -> str:
    """The outcome in the words of `Run.expected`, or in other words if it is not one of these."""
    first, *later = outcome.answers
    if not first.signed_in:
        return "could not sign in"
    if all(answer.signed_in for answer in later):
        return "still signed in"
    if not any(answer.signed_in for answer in later):
        return "logged out"
    if all(answer.signed_in == (answer.version == first.version) for answer in later):
        return "logged out on every other request"
    return "sometimes signed in"
