"""The store is killed, emptied, or says nothing, while a farm works on it."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from dpmiddleware.cli import main
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.keys.rotation import RotationPolicy
from tests.fakes import StoppedClock, data_protection, events, until
from tests.servers import Server

ROOT = Path(__file__).parents[2]


class Farm:
    """Worker processes of `tests.farm.load` on one store."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, command: str = "report") -> list[dict[str, Any]]:
        """What every worker says."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()
        answers: list[dict[str, Any]] = json.loads(self._process.stdout.readline())
        return answers


@contextmanager
def working_farm(url: str, *, workers: int = 4, poll: float = 0.5) -> Iterator[Farm]:
    command = [sys.executable, "-m", "tests.farm.load", url, str(workers), str(poll)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Farm(process)
        finally:
            process.kill()


def url_of(server: Server, **parameters: str) -> str:
    return f"{server.address}/0" + ("?" if parameters else "") + "&".join("=".join(pair) for pair in parameters.items())


def no_refusals(answers: list[dict[str, Any]]) -> bool:
    return all(answer["requests"] > 0 and answer["refusals"] == {} for answer in answers)


def killed_under_load(server: Server, seconds: float) -> list[float]:
    """Kill the store, wait, start it again with what it had. How long each change then took to be everywhere."""
    client: Any = redis.Redis.from_url(server.address)
    with working_farm(url_of(server)) as farm:
        until(lambda: {answer["keys"] for answer in farm.ask()} == {1})
        farm.ask()
        client.save()
        server.kill()
        failed: set[int] = set()
        ended = time.monotonic() + seconds
        while time.monotonic() < ended:  # the length of the outage is what is tested, not waited for
            time.sleep(0.25)
            answers = farm.ask()
            assert no_refusals(answers), answers
            failed.update(number for number, answer in enumerate(answers) if "refresh_failed" in answer["events"])
        assert {answer["status"] for answer in answers} == {"stale"}
        assert failed == {0, 1, 2, 3}
        server.start()
        manager = DataProtection("shop", repository=url_of(server)).manager
        (key,) = manager.read().keys
        until(lambda: {answer["status"] for answer in farm.ask()} == {"ok"})
        took = []
        for change, name, number in (
            (lambda: manager.create_key(activate_now=True), "keys", 2),
            (lambda: manager.revoke(key.id), "revoked", 1),
        ):
            change()
            began = time.monotonic()
            until(lambda: {answer[name] for answer in farm.ask()} == {number})  # noqa: B023 (called at once)
            took.append(time.monotonic() - began)
        assert len(manager.read().keys) == 2  # the first, and the operator's: no worker made any
        farm.ask("end")
    return took


def test_a_store_killed_under_load_fails_no_request_and_makes_no_key(own_redis: Server) -> None:
    """Four workers, five seconds without a store, ten polls missed: served from memory; then one ring again."""
    killed_under_load(own_redis, 5)


@pytest.mark.soak
def test_a_store_killed_for_a_minute_under_load(own_redis: Server) -> None:
    took = killed_under_load(own_redis, 60)
    print(f"everywhere after {', '.join(f'{seconds:.2f} s' for seconds in took)}; one poll is 0.5 s")
