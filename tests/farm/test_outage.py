"""The store is killed, emptied, or silent, while a farm uses it."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from dpmiddleware.cli import main
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import UnknownKeyError
from dpmiddleware.keys.policy import RotationPolicy
from tests.fakes import StoppedClock, data_protection, events, until
from tests.servers import Server

ROOT = Path(__file__).parents[2]


class Farm:
    """Worker processes of `tests.farm.load` on one store."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, command: str = "report") -> list[dict[str, Any]]:
        """The report of every worker."""
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
    """Kill the store, wait, and start it again with its data. How long each change then takes to arrive everywhere."""
    client: Any = redis.Redis.from_url(server.address)
    with working_farm(url_of(server)) as farm:
        until(lambda: {answer["keys"] for answer in farm.ask()} == {1})
        farm.ask()
        client.save()
        server.kill()
        failed: set[int] = set()
        ended = time.monotonic() + seconds
        while time.monotonic() < ended:  # the length of the outage is what is tested
            time.sleep(0.25)
            answers = farm.ask()
            assert no_refusals(answers), answers
            failed.update(number for number, answer in enumerate(answers) if "refresh_failed" in answer["events"])
        until(lambda: {answer["status"] for answer in farm.ask()} == {"stale"})
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
        assert len(manager.read().keys) == 2  # the first key and the operator's: no worker created one
        assert no_refusals(farm.ask("end"))
    return took


def test_a_store_killed_under_load_fails_no_request_and_makes_no_key(own_redis: Server) -> None:
    """Four workers, five seconds without a store, ten missed polls: served from memory; then the same ring again."""
    killed_under_load(own_redis, 5)


@pytest.mark.soak
def test_a_store_killed_for_a_minute_under_load(own_redis: Server) -> None:
    took = killed_under_load(own_redis, 60)
    print(f"everywhere after {', '.join(f'{seconds:.2f} s' for seconds in took)}; one poll is 0.5 s")


# --- a Redis that forgets ---------------------------------------------------------------------------------------------


def members(server: Server, clock: StoppedClock, count: int = 3) -> list[DataProtection]:
    """Processes that have their ring."""
    made = [data_protection(DataProtection("shop", repository=url_of(server)).repository, clock) for _ in range(count)]
    for each in made:
        each.current()
    return made


def open_each_others(farm: list[DataProtection]) -> None:
    tokens = [each.create_protector("p").protect("text") for each in farm]
    assert [each.create_protector("p").unprotect(token) for each in farm for token in tokens] == ["text"] * (
        len(farm) * len(tokens)
    )


def restarted(server: Server) -> None:
    """Without persistence, as `own_redis` is set up."""
    server.kill()
    server.start()


@pytest.mark.parametrize(
    "empty",
    [
        pytest.param(lambda server: redis.Redis.from_url(server.address).flushall(), id="flushed"),
        pytest.param(lambda server: redis.Redis.from_url(server.address).delete("DataProtection-Keys"), id="evicted"),
        pytest.param(restarted, id="restarted"),
    ],
)
def test_story_13_a_redis_emptied_while_in_use(
    empty: Callable[[Server], object], own_redis: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Story 13: rings are kept, an error is logged, no key is created in the empty store, and a backup is restored."""
    clock, url = StoppedClock(), url_of(own_redis)
    farm = members(own_redis, clock)
    backup = str(tmp_path / "backup")
    copied = ["keys", "copy", "--application", "shop"]
    assert main([*copied, "--repository", url, "--to", backup]) == 0
    empty(own_redis)
    client: Any = redis.Redis.from_url(own_redis.address)
    caplog.set_level(logging.INFO, "dpmiddleware")

    for days in (0, 1, 87):  # the same day, the next day, and when a successor is due
        clock.advance(days=days, seconds=11)
        open_each_others(farm)
        assert client.dbsize() == 0
    shrank = events(caplog, "ring_shrank")
    assert len(shrank) == len(farm)
    assert {record["levelname"] for record in shrank} == {"ERROR"}
    assert events(caplog, "key_created") == []
    assert {each.health().keys for each in farm} == {1}

    assert main([*copied, "--repository", backup, "--to", url]) == 0
    clock.advance(seconds=61)
    open_each_others(farm)
    open_each_others([*farm, *members(own_redis, clock)])
    manager = farm[0].manager
    made = [key.id for key in manager.read().keys]
    assert len(made) == 2  # the restored key and the successor that was due: one, although all processes found it due
    assert manager.read().lost == ()


def test_story_13_the_documented_danger_a_process_that_starts_on_the_emptied_store_makes_a_new_ring(
    own_redis: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """Story 13: a new process cannot know what an empty store contained. Running processes read both rings."""
    clock = StoppedClock()
    (running,) = members(own_redis, clock, 1)
    before = running.create_protector("p").protect("before")
    client: Any = redis.Redis.from_url(own_redis.address)
    client.flushall()
    clock.advance(seconds=1)
    (newcomer,) = members(own_redis, clock, 1)
    after = newcomer.create_protector("p").protect("after")
    with pytest.raises(UnknownKeyError):
        newcomer.create_protector("p").unprotect(before)
    clock.advance(seconds=11)
    assert running.create_protector("p").unprotect(before) == "before"
    assert running.create_protector("p").unprotect(after) == "after"
    assert newcomer.create_protector("p").unprotect(running.create_protector("p").protect("now")) == "now"
    assert len(events(caplog, "ring_shrank")) == 1


# --- a Redis that says nothing ----------------------------------------------------------------------------------------


def test_a_store_that_answers_nothing_is_stale_after_three_polls(own_redis: Server) -> None:
    """It accepts connections and does not answer: each poll times out, and after the third the ring is *stale*."""
    clock = StoppedClock()
    store = DataProtection("shop", repository=url_of(own_redis, socket_timeout="0.2")).repository
    dp = data_protection(store, clock, policy=RotationPolicy())
    protector = dp.create_protector("p")
    token = protector.protect("text")
    seen = []
    with own_redis.paused():
        for _ in range(3):
            clock.advance(seconds=10)
            assert protector.unprotect(token) == "text"
            seen.append(dp.health().status)
    assert seen == ["ok", "ok", "stale"]
    clock.advance(seconds=10)
    protector.unprotect(token)
    assert dp.health().status == "ok"
