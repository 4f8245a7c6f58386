"""Payloads as bytes against ASP.NET Core itself, if the peer program is present (see tests/interop/aspnet_peer).

The result is the best of several batches of each, in turns, after .NET has compiled its hot code.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import timeit
from functools import partial

from dpmiddleware import DataProtection
from tests.interop.peer import find_peer

__all__ = ["report"]

SIZE = 256
ROUNDS = 7
GOAL = 1.15


def report() -> tuple[str, bool]:
    """A line for people, and whether the goal was reached; ``True`` if there is no peer."""
    program = find_peer()
    if program is None:
        return "raw CBC against ASP.NET Core: not run, the peer is not present", True
    protector = DataProtection("bench", repository="memory:").create_protector("bench")
    data = os.urandom(SIZE)
    payload = protector.protect(data)
    calls = {"protect": partial(protector.protect, data), "unprotect": partial(protector.unprotect, payload)}
    ratios: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        theirs = _dotnet(program)
        for name, call in calls.items():
            ours = min(timeit.repeat(call, number=2000, repeat=5)) / 2000 * 1e9
            ratios[name].append(ours / theirs[f"{name}_ns"])
    medians = {name: statistics.median(found) for name, found in ratios.items()}
    shown = ", ".join(f"{name} {ratio:.2f}" for name, ratio in medians.items())
    return f"raw CBC, {SIZE} B, against ASP.NET Core: {shown}, goal {GOAL}", max(medians.values()) <= GOAL


def _dotnet(program: str) -> dict[str, float]:
    """Nanoseconds per operation, in a new process. The first pass over the sizes is a warm-up."""
    spec = {"store": {"kind": "memory", "documents": []}, "app": "bench"}
    environment = {**os.environ, "DOTNET_TC_CallCountingDelayMs": "0"}
    run = subprocess.run(
        [program, "bench", json.dumps(spec), "0.5", str(SIZE), str(SIZE)],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
    )
    last: dict[str, float] = json.loads(run.stdout.splitlines()[-1])
    return last
