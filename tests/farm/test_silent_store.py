"""A store that drips, or hangs: what members, operators and users see of it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from dpmiddleware import DataProtection
from dpmiddleware.cli import main
from dpmiddleware.errors import RepositoryError
from dpmiddleware.keys.policy import RotationPolicy
from dpmiddleware.repositories.base import Repository
from dpmiddleware.repositories.files import FileKeyRepository
from dpmiddleware.testing.contracts.remote_repository import silent_server, store_threads
from dpmiddleware.testing.contracts.store import commit, document
from dpmiddleware.testing.contracts.together import at_once
from tests.fakes import events
from tests.servers import LOOPBACK, wait_for

REDIS_DRIPS = b"+"


@pytest.fixture(params=["never answers", "sends a byte now and then"])
def silent_redis(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(Repository, "_seconds", 0.3)
    with silent_server(REDIS_DRIPS if "byte" in request.param else None) as port:
        yield f"redis://{LOOPBACK}:{port}/0"


def test_a_member_without_a_ring_says_that_the_store_does_not_answer(
    silent_redis: str, caplog: pytest.LogCaptureFixture
) -> None:
    dp = DataProtection("shop", repository=silent_redis)
    dp.health()
    wait_for("the first load to fail", lambda: dp.health().status == "down")
    assert "no answer within" in dp.health().problem
    assert "no answer within" in str(events(caplog, "refresh_failed")[0]["error"])


def test_an_operator_gets_an_error_and_not_a_terminal_that_hangs(
    silent_redis: str, capsys: pytest.CaptureFixture[str]
) -> None:
    statuses: list[int] = []

    def verbs(_: int) -> None:
        asked = (["check"], ["keys", "list"], ["keys", "create"], ["keys", "rotate", "--if-due"])
        statuses.extend(main([*verb, "--application", "shop", "--repository", silent_redis]) for verb in asked)

    assert at_once(1, verbs, seconds=60) == [None]
    assert statuses == [1, 1, 1, 1]
    printed = "".join(capsys.readouterr())
    assert printed.count("no answer within") >= 4 or printed.count("earlier calls still hang") >= 1
    assert "hint: check the store" in printed


@pytest.fixture
def hanging_mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """While the event is set, whatever lists the folder of keys hangs, as on a mount whose server is gone."""
    hangs, ended, listdir = threading.Event(), threading.Event(), os.listdir

    def hanging(folder: Any = ".") -> list[str]:
        if hangs.is_set() and str(folder) == str(tmp_path / "keys"):
            while hangs.is_set():
                ended.wait(0.02)
        return listdir(folder)

    monkeypatch.setattr(Repository, "_seconds", 0.3)
    monkeypatch.setattr(os, "listdir", hanging)
    yield hangs
    hangs.clear()
    ended.set()


def test_a_folder_on_a_mount_that_hangs_is_an_error(tmp_path: Path, hanging_mount: threading.Event) -> None:
    repository = FileKeyRepository(tmp_path / "keys")
    commit(repository, document())
    version = repository.version()
    hanging_mount.set()

    def ask(_: int) -> None:
        for call in (
            repository.read,
            repository.version,
            lambda: repository.commit(add=[document()], expected=version),
        ):
            with pytest.raises(RepositoryError, match=r"no answer within|still hang"):
                call()

    before = store_threads()
    assert at_once(1, ask, seconds=60) == [None]
    assert store_threads() <= before + 2


def test_a_member_goes_on_with_its_ring_and_says_that_it_is_stale(
    tmp_path: Path, hanging_mount: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    dp = DataProtection("shop", repository=str(tmp_path / "keys"), policy=RotationPolicy(poll=timedelta(seconds=0.2)))
    protector = dp.create_protector("p")
    token = protector.protect("apples")
    hanging_mount.set()
    wait_for("the ring to be stale", lambda: dp.health().status == "stale")
    assert protector.unprotect(token) == "apples"
    wait_for("the log line", lambda: events(caplog, "ring_stale"))
    assert store_threads() <= 2
    hanging_mount.clear()
    wait_for("the ring to be current again", lambda: dp.health().status == "ok")
