"""Many processes start at the same moment on an empty store; run as a program by the tests beside it.

``cold_start.py URL PROCESSES ROUNDS``: in each round (its number replaces ``{round}`` in the URL) one warm parent
forks the processes; they wait at a barrier, protect a payload each, and open those of all the others. The parent has
read the store's version, so clients are created and connected once; no process has a ring yet. Prints one JSON
line per round: documents in the store, key ids in the payloads, payloads opened, and what was refused.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier

from dpmiddleware import DataProtection

SECONDS = 60


def process(number: int, dp: DataProtection, barrier: Barrier, pipe: Connection) -> None:
    """One process of the farm. It first uses the ring when all processes are ready."""
    protector = dp.create_protector("farm")
    barrier.wait(SECONDS)
    pipe.send(_told(lambda: protector.protect(f"{number}")))
    tokens = pipe.recv()
    pipe.send(_told(lambda: [protector.unprotect(token) for token in tokens]))


def _told(action: Callable[[], object]) -> object:
    """The result of a process; the test has to see every error."""
    try:
        return action()
    except Exception as error:  # noqa: BLE001 (see above)
        return f"{type(error).__name__}: {error}"


def one_round(url: str, processes: int) -> dict[str, object]:
    """Fork, collect the payloads, and pass them to all processes."""
    fork = multiprocessing.get_context("fork")
    barrier = fork.Barrier(processes)
    pipes = [fork.Pipe() for _ in range(processes)]
    dp = DataProtection("shop", repository=url)
    dp.repository.version()
    farm = [
        fork.Process(target=process, args=(number, dp, barrier, child), daemon=True)
        for number, (_, child) in enumerate(pipes)
    ]
    for each in farm:
        each.start()
    tokens = [_received(parent) for parent, _ in pipes]
    for parent, _ in pipes:
        parent.send(tokens)
    opened = [_received(parent) for parent, _ in pipes]
    for each in farm:
        each.join(SECONDS)
    expected = [f"{number}" for number in range(processes)]
    return {
        "keys": len(dp.repository.read().documents),
        "ids": len({str(token)[:26] for token in tokens}),
        "opened": sum(found == expected for found in opened),
        "problems": [str(found) for found in [*tokens, *opened] if ": " in str(found)[:60]],
    }


def _received(pipe: Connection) -> object:
    return pipe.recv() if pipe.poll(SECONDS) else "TimeoutError: nothing came"


if __name__ == "__main__":
    template, processes, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    for number in range(rounds):
        print(json.dumps(one_round(template.replace("{round}", str(number)), processes)), flush=True)
