"""Worker processes under load while their store goes away and comes back; run as a program by the tests beside it.

``load.py URL WORKERS POLL``: one parent forks the workers, each with its own ring. A worker serves one request after
another: it protects a text, and opens its own payload and one of another worker's. Commands come on standard input,
one word per line; each is answered with one JSON line, all workers' answers in a list:

    report      what each worker has done since the last report: requests, refusals, its version of the ring, health
    end         the same, and the workers end
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import sys
from collections import Counter
from datetime import timedelta
from multiprocessing.connection import Connection, wait
from typing import Any

from dpmiddleware import DataProtection, RotationPolicy

SECONDS = 60
PAUSE = 0.01
"""Between the requests of a worker: the store runs on the same machine with two processors."""


class Worker:
    """One process of the farm: it serves requests, reads the parent's messages, and repeats."""

    def __init__(self, number: int, url: str, poll: float, pipe: Connection) -> None:
        policy = RotationPolicy(poll=timedelta(seconds=poll))
        self.dp = DataProtection("shop", repository=url, policy=policy)
        self.number, self.pipe = number, pipe
        self.protector = self.dp.create_protector("farm")
        self.others: list[str] = []
        self.requests = 0
        self.refusals: Counter[str] = Counter()
        self.events: Counter[str] = Counter()

    def run(self) -> None:
        """Until the parent sends ``end``."""
        logging.getLogger("dpmiddleware").addHandler(self._handler())
        while True:
            self._serve()
            if self.pipe.poll(PAUSE):
                message = self.pipe.recv()
                if isinstance(message, list):
                    self.others = message
                    continue
                self.pipe.send(self._report())
                if message == "end":
                    return

    def _serve(self) -> None:
        self.requests += 1
        try:
            token = self.protector.protect(f"{self.number}")
            for each in (token, *self.others):
                self.protector.unprotect(each)
        except Exception as error:  # noqa: BLE001 (whatever it was, the test has to see it)
            self.refusals[f"{type(error).__name__}: {error}"] += 1

    def _report(self) -> dict[str, Any]:
        health = self.dp.health()
        found = {
            "requests": self.requests,
            "refusals": dict(self.refusals),
            "events": dict(self.events),
            "status": health.status,
            "keys": health.keys,
            "revoked": sum(key.revocation is not None for key in self.dp.current().keys),
            "default": str(health.default_key),
            "token": self.protector.protect(f"{self.number}"),
        }
        self.requests = 0
        self.refusals.clear()
        self.events.clear()
        return found

    def _handler(self) -> logging.Handler:
        handler = logging.Handler()
        handler.emit = lambda record: self.events.update([str(getattr(record, "event", ""))])  # type: ignore[method-assign]
        return handler


def main(url: str, workers: int, poll: float) -> None:
    """Fork, pass the payloads to all workers, and forward commands."""
    fork = multiprocessing.get_context("fork")
    pipes = [fork.Pipe() for _ in range(workers)]
    for number, (_, child) in enumerate(pipes):
        fork.Process(target=lambda n=number, c=child: Worker(n, url, poll, c).run(), daemon=True).start()
    parents = [parent for parent, _ in pipes]
    for line in sys.stdin:
        for parent in parents:
            parent.send(line.strip())
        answers = [parent.recv() if wait([parent], SECONDS) else None for parent in parents]
        tokens = [answer["token"] for answer in answers if answer]
        if line.strip() != "end":
            for parent in parents:
                parent.send(tokens)
        print(json.dumps(answers), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
