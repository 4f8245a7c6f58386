"""Compares two callables on a noisy machine.

Each round times one batch of each, in turns. The result is the median, over all rounds, of the ratio within a round:
other load on the machine slows both. Times in microseconds are printed for scale only.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

__all__ = ["Case", "Result", "best_of", "compare"]

ROUNDS = 41
BATCH_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Case:
    """Two callables to compare.

    name: the name of the case.
    ours, theirs: the callables.
    goal: the highest acceptable ratio of their times, ours / theirs.
    peer: what ``theirs`` is.
    idle: what both do in any case (an application without a session). Its time is subtracted from both.
    """

    name: str
    ours: Callable[[], object]
    theirs: Callable[[], object]
    goal: float
    peer: str
    idle: Callable[[], object] | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """The median ratio, its 10th and 90th percentile, and microseconds per call for scale."""

    case: Case
    ratio: float
    low: float
    high: float
    ours_us: float
    theirs_us: float

    @property
    def holds(self) -> bool:
        """Whether the goal was reached in this run."""
        return self.ratio <= self.case.goal


def compare(case: Case, rounds: int = ROUNDS) -> Result:
    """Run one case."""
    calls = [case.ours, case.theirs, *([case.idle] if case.idle else [])]
    sizes = [_batch_size(call) for call in calls]
    ratios, ours, theirs = [], [], []
    gc.collect()
    gc.disable()
    try:
        for number in range(rounds):
            order = range(len(calls)) if number % 2 else reversed(range(len(calls)))
            times = {i: _time(calls[i], sizes[i]) for i in order}
            idle = times.get(2, 0.0)
            ours.append(times[0] - idle)
            theirs.append(times[1] - idle)
            ratios.append(ours[-1] / max(theirs[-1], 1e-9))
    finally:
        gc.enable()
    deciles = statistics.quantiles(ratios, n=10)
    return Result(
        case,
        statistics.median(ratios),
        deciles[0],
        deciles[-1],
        statistics.median(ours) * 1e6,
        statistics.median(theirs) * 1e6,
    )


def best_of(calls: Sequence[Callable[[], object]], rounds: int = 1000) -> list[float]:
    """Seconds of each call, timed in turns: the best of many short batches, some of which nothing has disturbed."""
    sizes = [max(1, _batch_size(call) // 50) for call in calls]
    gc.collect()
    gc.disable()
    try:
        times = [[_time(call, size) for call, size in zip(calls, sizes, strict=True)] for _ in range(rounds)]
    finally:
        gc.enable()
    return [min(column) for column in zip(*times, strict=True)]


def _batch_size(call: Callable[[], object]) -> int:
    """The number of calls that take about `BATCH_SECONDS`."""
    size = 1
    while (spent := _time(call, size) * size) < BATCH_SECONDS / 2:
        size = max(2 * size, int(size * BATCH_SECONDS / 2 / max(spent, 1e-7)))
    return size


def _time(call: Callable[[], object], size: int) -> float:
    """Seconds per call, over one batch."""
    began = time.perf_counter()
    for _ in range(size):
        call()
    return (time.perf_counter() - began) / size
