"""Story 12: gunicorn with preload, and without: a ring that was loaded before the fork works in every child."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest

from dpmiddleware import forks, telemetry
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import UnknownKeyError
from dpmiddleware.protection import base64url
from dpmiddleware.protection.payload import head_of
from dpmiddleware.repositories import memory
from dpmiddleware.repositories.memory import MemoryKeyRepository
from dpmiddleware.testing.contracts.store import commit, document
from dpmiddleware.testing.contracts.together import in_a_fork
from dpmiddleware.web.sign_in.ticket_store import MemoryTicketStore
from tests.fakes import StoppedClock, WatchedRepository, data_protection, key_document, put, ring_of, until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="processes are forked here")
SECONDS = 30


def in_child(action: Callable[[], object]) -> None:
    """Run ``action`` in a forked child; a child that hangs is terminated, and fails."""

    def timed() -> None:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(SECONDS)
        action()

    in_a_fork(timed)


def answers(action: Callable[[], str], children: int) -> list[str]:
    """The result of ``action`` in each of several children of this process."""
    found = []
    for _ in range(children):
        reading, writing = os.pipe()

        def told(pipe: int = writing) -> None:
            os.write(pipe, action().encode())

        in_child(told)
        os.close(writing)
        with os.fdopen(reading, encoding="utf-8") as pipe:
            found.append(pipe.read())
    return found


@contextmanager
def held_by_another_thread(lock: threading.Lock) -> Generator[None]:
    """What is done inside is done while another thread of this process is inside ``lock``."""
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            held.set()
            done.wait(SECONDS)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(SECONDS)
    yield
    done.set()
    thread.join(SECONDS)


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture
def store() -> WatchedRepository:
    return ring_of(key_document())


@pytest.fixture
def dp(store: WatchedRepository, clock: StoppedClock) -> DataProtection:
    """With refreshes in threads, as in a server."""
    return DataProtection("shop", repository=store, clock=clock)


@pytest.fixture
def gate(store: WatchedRepository) -> Iterator[threading.Event]:
    """Calls of the store wait for this event as soon as a test installs it."""
    gate = threading.Event()
    yield gate
    gate.set()


def test_story_12_workers_forked_after_the_load_have_one_ring_and_no_common_randomness(dp: DataProtection) -> None:
    """Story 12: the same ring in all processes, without shared nonce state."""
    protector = dp.create_protector("p")
    tokens = [protector.protect("text"), *answers(lambda: protector.protect("text"), 4), protector.protect("text")]
    assert [protector.unprotect(token) for token in tokens] == ["text"] * 6
    payloads = [base64url.decode(token) for token in tokens]
    assert len({payload[4:20] for payload in payloads}) == 1
    assert len({payload[20:36] for payload in payloads}) == 6  # key modifiers
    assert len({payload[36:52] for payload in payloads}) == 6  # IVs


def test_story_12_workers_forked_before_the_load_agree_as_well(tmp_path: object) -> None:
    """Story 12: without preload, each process loads the ring from the shared folder."""
    dp = DataProtection("shop", repository=str(tmp_path))
    protector = dp.create_protector("p")
    tokens = answers(lambda: protector.protect("text"), 3)
    assert [protector.unprotect(token) for token in tokens] == ["text"] * 3


def test_a_child_refreshes_its_ring_itself(dp: DataProtection, store: WatchedRepository, clock: StoppedClock) -> None:
    dp.current()

    def work() -> None:
        calls = store.calls
        clock.advance(seconds=25)
        dp.current()
        until(lambda: store.calls > calls)
        assert dp.health().status == "ok"

    in_child(work)


def test_a_fork_while_a_refresh_hangs_gives_a_working_child(
    dp: DataProtection, store: WatchedRepository, clock: StoppedClock, gate: threading.Event
) -> None:
    """The parent's refresh holds the locks of provider and reader; no thread of the child can release them."""
    protector = dp.create_protector("p")
    token = protector.protect("text")
    put(store.inner, key_document(clock.now(), created=timedelta(0), activated=timedelta(seconds=1)))
    elsewhere = data_protection(store.inner, clock).create_protector("p").protect("other")
    store.gate = gate
    store.entered.clear()
    clock.advance(seconds=11)
    dp.current()
    assert store.entered.wait(SECONDS)

    def work() -> None:
        store.gate = None
        assert protector.unprotect(token) == "text"
        assert protector.unprotect(elsewhere) == "other"
        assert protector.unprotect(protector.protect("new")) == "new"
        dp.manager.read()

    in_child(work)
    assert protector.unprotect(token) == "text"


def test_a_fork_while_the_ring_is_being_read_gives_a_working_child(
    dp: DataProtection, store: WatchedRepository, gate: threading.Event
) -> None:
    """The first load is in progress: the child starts its own, and does not wait for the parent's."""
    store.gate = gate
    dp.start()
    assert store.entered.wait(SECONDS)

    def work() -> None:
        store.gate = None
        assert dp.health().status in {"starting", "ok"}
        protector = dp.create_protector("p")
        assert protector.unprotect(protector.protect("text")) == "text"

    in_child(work)
    gate.set()
    assert dp.create_protector("p").protect("text")


def test_a_fork_while_the_parts_are_put_together_gives_a_working_child(
    dp: DataProtection, monkeypatch: pytest.MonkeyPatch, gate: threading.Event
) -> None:
    """Another thread opens files at the first use; its lock must not be held forever in the child."""
    entered, put_together = threading.Event(), dp._open_manager

    def slow() -> object:
        entered.set()
        gate.wait(SECONDS)
        return put_together()

    monkeypatch.setattr(dp.provider, "_manager", slow)
    dp.start()
    assert entered.wait(SECONDS)

    def work() -> None:
        monkeypatch.setattr(dp.provider, "_manager", put_together)
        assert dp.create_protector("p").protect("text")

    in_child(work)


def test_a_fork_while_events_are_counted_gives_a_child_that_counts(dp: DataProtection) -> None:
    protector = dp.create_protector("p")
    protector.protect("text")

    def work() -> None:
        with pytest.raises(UnknownKeyError) as caught:
            protector.unprotect(head_of(bytes(16)) + bytes(80))
        telemetry.refused(caught.value.code, key_id=caught.value.key_id, ring="shop", where="sid")
        assert telemetry.counts()["unprotect_refused", "unknown_key"] >= 1

    with held_by_another_thread(telemetry._lock):
        in_child(work)


def test_a_fork_while_a_thread_is_inside_a_ticket_store_gives_a_child_whose_store_answers() -> None:
    store = MemoryTicketStore()
    store.put("a", b"one", None)

    def work() -> None:
        assert store.get("a") == b"one"
        assert store.replace("a", b"two", None)
        assert store.get("a") == b"two"

    with held_by_another_thread(store._lock):
        in_child(work)
    assert store.get("a") == b"one"


def test_a_fork_while_a_thread_is_inside_a_store_in_memory_gives_a_child_whose_store_answers() -> None:
    store = MemoryKeyRepository()

    def work() -> None:
        commit(store, document())
        assert len(store.read().documents) == 1

    with held_by_another_thread(memory._lock):
        in_child(work)
    assert store.read().documents == ()


def test_an_error_after_a_fork_does_not_keep_locks_from_being_renewed() -> None:
    class Failing:
        def fail(self) -> None:
            raise ValueError("a client that cannot be closed")

    failing, store = Failing(), MemoryTicketStore()
    forks.after_fork(failing.fail)
    last = MemoryTicketStore()

    def work() -> None:
        for each in (store, last):
            each.put("a", b"one", None)
            assert each.get("a") == b"one"

    with held_by_another_thread(store._lock), held_by_another_thread(last._lock):
        in_child(work)


def test_what_is_to_run_after_a_fork_keeps_no_object_alive() -> None:
    gc.collect()
    store = MemoryTicketStore()
    gone = weakref.ref(store)
    before = len(forks._methods)
    del store
    gc.collect()
    assert gone() is None
    assert len(forks._methods) == before - 1


def test_a_process_ends_without_a_word() -> None:
    """At the end of the interpreter objects go in any order; callbacks of weak references must not fail."""
    program = (
        "from dpmiddleware import DataProtection; dp = DataProtection('shop', repository='memory:');"
        " p = dp.create_protector('p'); t = p.protect('x'); use = lambda: p.unprotect(t); use()"
    )
    for _ in range(5):
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert "Exception" not in done.stderr


def test_children_of_children_work_too(dp: DataProtection) -> None:
    protector = dp.create_protector("p")
    token = protector.protect("text")

    def work() -> None:
        in_child(lambda: protector.unprotect(token))
        assert protector.unprotect(token) == "text"

    in_child(work)
