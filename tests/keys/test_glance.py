"""A look at a large ring unwraps the keys that matter, and claims nothing about the others."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from uuid import UUID

import pytest

from dpmiddleware.cli import main
from dpmiddleware.keys.glance import MOST, glance
from dpmiddleware.keys.interfaces import StoredDocument
from dpmiddleware.keys.key import Key, KeyState
from dpmiddleware.keys.reading import Reading
from dpmiddleware.repositories.files import FileKeyRepository
from dpmiddleware.repositories.memory import MemoryKeyRepository
from tests.fakes import DAY, NOON, BoxWrapper, StoppedClock, id_of, key_document, manager, put, revocation_document

OLDER = 20
"""Keys more than are unwrapped."""


def documents(number: int, wrapper: BoxWrapper | None, now: datetime = NOON) -> list[StoredDocument]:
    """Keys, the oldest first: one per day, of one day each; the last one protects."""
    days = [(n - number, n - number + 1 + 30 * (n == number - 1)) for n in range(number)]
    return [key_document(now, created=a * DAY, activated=a * DAY, expires=b * DAY, wrapper=wrapper) for a, b in days]


def looked_at(stored: list[StoredDocument], wrapper: BoxWrapper | None) -> Reading:
    repository = MemoryKeyRepository([])
    put(repository, *stored)
    return glance(manager(repository, StoppedClock(), wrappers=[wrapper] if wrapper else []))


def tried(reading: Reading) -> set[UUID]:
    return {key.id for key in reading.keys if not key.untried}


def test_of_a_large_ring_the_newest_keys_are_unwrapped() -> None:
    box = BoxWrapper()
    stored = documents(MOST + OLDER, box)
    assert tried(looked_at(stored, box)) == {id_of(one) for one in stored[OLDER:]}
    assert box.unwrapped == MOST


def test_of_a_ring_of_usual_size_all_keys_are() -> None:
    box = BoxWrapper()
    stored = documents(MOST, box)
    assert tried(looked_at(stored, box)) == {id_of(one) for one in stored}


def test_keys_that_are_not_wrapped_cost_nothing_and_are_all_read() -> None:
    stored = documents(MOST + OLDER, None)
    assert tried(looked_at(stored, None)) == {id_of(one) for one in stored}


def test_keys_that_have_not_expired_come_first() -> None:
    box = BoxWrapper()
    stored = documents(MOST + OLDER, box)
    living = key_document(NOON, created=-5000 * DAY, activated=-5000 * DAY, expires=DAY, wrapper=box)
    assert id_of(living) in tried(looked_at([living, *stored], box))


def test_the_key_that_protects_is_unwrapped_whatever_the_others_are() -> None:
    """There are more keys that will become active than are unwrapped."""
    box = BoxWrapper()
    now = key_document(NOON, created=-DAY, activated=-DAY, expires=DAY, wrapper=box)
    later = [key_document(NOON, activated=(2 + n) * DAY, expires=900 * DAY, wrapper=box) for n in range(MOST + 5)]
    assert id_of(now) in tried(looked_at([now, *later], box))


def test_a_key_that_was_tried_and_does_not_open_is_unusable_and_the_others_are_not_said_to_be() -> None:
    box = BoxWrapper()
    stored = documents(MOST + OLDER, box)
    box.broken = True
    found = {key.id: key for key in looked_at(stored, box).keys}
    now = manager(MemoryKeyRepository([])).now()
    old, new = found[id_of(stored[0])], found[id_of(stored[-1])]
    assert (new.state(now), new.problem != "", new.untried) == (KeyState.UNUSABLE, True, False)
    assert (old.state(now), old.problem, old.untried, old.usable) == (KeyState.EXPIRED, "", True, False)


def test_a_revocation_holds_for_a_key_that_was_not_tried() -> None:
    box = BoxWrapper()
    stored = documents(MOST + OLDER, box)
    reading = looked_at([*stored, revocation_document(id_of(stored[0]))], box)
    (old,) = (key for key in reading.keys if key.id == id_of(stored[0]))
    assert old.untried
    assert old.revocation is not None


def test_a_glance_does_not_make_a_later_reading_forget_how_keys_open() -> None:
    box = BoxWrapper()
    repository = MemoryKeyRepository([])
    put(repository, *documents(MOST + OLDER, box))
    managing = manager(repository, wrappers=[box])
    assert all(key.usable for key in managing.read().keys)
    box.broken = True
    for read in (glance, lambda one: one.read()):
        assert all(key.usable for key in read(managing).keys)


# --- dpm keys list --------------------------------------------------------------------------------------------------


@pytest.fixture
def listed(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """What ``dpm keys list`` prints of a large ring, with these further words."""
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(range(32)).hex().encode())
    secret.chmod(0o600)
    monkeypatch.setenv("DPM_KEY_WRAPPER", f"secret:{secret}")
    monkeypatch.setattr("dpmiddleware.keys.glance.MOST", 3)
    words = ["--application", "shop", "--repository", str(tmp_path / "keys")]
    for _ in range(5):
        assert main(["keys", "create", *words]) == 0
    capsys.readouterr()

    def run(*more: str) -> str:
        assert main(["keys", "list", *words, *more]) == 0
        return capsys.readouterr().out

    return run


def test_a_list_says_which_keys_were_not_tried(listed: Callable[..., str]) -> None:
    printed = listed()
    assert printed.count(", not tried ") == 1  # three, and the key that protects
    assert "1 key was not tried, because the ring is large" in printed
    assert "`dpm keys list --all` tries" in printed
    assert max(map(len, printed.splitlines()[1:7])) <= 80


def test_a_list_of_all_keys_tries_all(listed: Callable[..., str]) -> None:
    assert "not tried" not in listed("--all")


def test_a_list_for_programs_has_no_algorithm_for_a_key_that_was_not_tried(listed: Callable[..., str]) -> None:
    keys = json.loads(listed("--json"))["keys"]
    assert sorted((key["tried"], key["algorithm"] != "", key["problem"]) for key in keys) == [
        (False, False, ""),
        *[(True, True, "")] * 4,
    ]


def test_a_key_that_was_read_whole_is_tried(tmp_path: Path) -> None:
    repository = FileKeyRepository(tmp_path)
    put(repository, key_document(datetime.now(timezone.utc) - timedelta(days=1)))
    assert [key.untried for key in manager(repository).read().keys] == [False]
    assert [isinstance(key, Key) and key.untried for key in manager(repository).survey().keys] == [True]
