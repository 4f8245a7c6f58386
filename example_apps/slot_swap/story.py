"""The four runs: a swap and an A/B test, with a ring a slot and with one shared ring.

What ought to happen is what the documentation of ASP.NET Core says of deployment slots: each slot has a key ring of
its own, so after a swap, and in A/B testing, a slot cannot read what the other protected, and users are logged out;
a key store outside the slots avoids it. (*Key management and lifetime in ASP.NET Core*, *Deployment slots*:
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
"""How often the visitor comes back while two versions serve in turn."""


@dataclass(frozen=True, slots=True)
class Run(report.Run):
    """One of the four. shared: one ring for both slots. in_turn: A/B instead of a swap."""

    shared: bool
    in_turn: bool


RUNS: Final = (
    Run("swap-own", "swap, each slot its own ring", "logged out", shared=False, in_turn=False),
    Run("swap-shared", "swap, one shared ring", "still signed in", shared=True, in_turn=False),
    Run("turns-own", "A/B, each slot its own ring", "logged out every other time", shared=False, in_turn=True),
    Run("turns-shared", "A/B, one shared ring", "still signed in", shared=True, in_turn=True),
)


@dataclass(slots=True)
class Outcome(report.Outcome[Run]):
    """What happened in one run. answers: what the visitor saw, sign-in first. refusals: the reasons in the logs.

    keys: the ids of the keys that lie in each ring at the end, by what the ring is called in the story.
    """

    answers: list[Answer] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    keys: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Farm:
    """Two slots that run, and their front. rings: the key folders by name."""

    production: Slot
    staging: Slot
    front: Front
    rings: dict[str, Path]

    @contextlib.contextmanager
    def logs_in_errors(self) -> Generator[None]:
        """Where a request fails, `ServerFailedError` with what the slots have logged."""
        try:
            yield
        except OSError as error:  # HTTPError and URLError are such
            logs = "\n".join(slot.log()[-2000:] for slot in (self.production, self.staging))
            raise ServerFailedError(f"a request failed: {error}; the logs of the slots end:\n{logs}") from error

    def keys(self) -> dict[str, list[str]]:
        """The ids of the keys that lie in each ring now."""
        return {name: sorted(file.stem[4:] for file in ring.glob("key-*.xml")) for name, ring in self.rings.items()}


@contextlib.contextmanager
def open_farm(folder: Path, *, shared: bool, cookie: str = "session") -> Generator[Farm]:
    """Start version 1.0 in production and 2.0 in staging at the same time, and end them with the context."""
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
    """Carry out one run in ``folder`` (empty); ``say`` gets each step as it happens."""
    outcome = Outcome(run)
    say("production (version 1.0) and staging (version 2.0) are started …")
    with open_farm(folder, shared=run.shared) as farm:
        for name, ring in farm.rings.items():
            say(f"the ring {name!r} is in …{str(ring).removeprefix(str(folder))}")
        with farm.logs_in_errors():
            _visit(farm, outcome, say)
        outcome.refusals = _reasons(farm, say)
        outcome.keys = farm.keys()
    for name, keys in outcome.keys.items():
        say(f"the ring {name!r} has the key {', '.join(keys) or '(none)'}")
    outcome.happened = _in_words(outcome)
    say(f"so: {outcome.happened}")
    return outcome


def _visit(farm: Farm, outcome: Outcome, say: Callable[[str], None]) -> None:
    """Sign in, swap, come back; or sign in, and come back again and again while both serve."""
    visitor = Visitor(farm.front.url)
    note = _notes(outcome, say)
    note(f"{NAME} signs in at {farm.front.url}", visitor.sign_in(NAME, PASSWORD))
    if outcome.run.in_turn:
        say("from now on both versions serve in turn (A/B)")
        farm.front.serve_in_turn()
        for _ in range(TURNS):
            note(f"{NAME} comes back", visitor.come_back())
    else:
        farm.front.swap()
        say("the slots are swapped: staging is production now")
        note(f"{NAME} comes back", visitor.come_back())


def _notes(outcome: Outcome, say: Callable[[str], None]) -> Callable[[str, Answer], None]:
    def note(what: str, answer: Answer) -> None:
        outcome.answers.append(answer)
        seen = f"signed in as {answer.signed_in_as}" if answer.signed_in else "not signed in"
        say(f"{what}: version {answer.version} says {seen!r} (cookie under key {(answer.cookie_key or 'none')[:8]}…)")

    return note


def _reasons(farm: Farm, say: Callable[[str], None]) -> list[str]:
    """The refusals that either slot has logged."""
    lines = [(slot, line) for slot in (farm.production, farm.staging) for line in slot.refusals()]
    for slot, line in lines:
        say(f"log of version {slot.version}: {line[line.index('payload refused') :]}")
    return [line for _, line in lines]


def _in_words(outcome: Outcome) -> str:
    """What the visitor would say of it; the words of `Run.expected` where it is one of those."""
    first, *later = outcome.answers
    if not first.signed_in:
        return "could not sign in"
    if all(answer.signed_in for answer in later):
        return "still signed in"
    if not any(answer.signed_in for answer in later):
        return "logged out"
    if all(answer.signed_in == (answer.version == first.version) for answer in later):
        return "logged out every other time"
    return "now in, now out"
