"""Calls with a time limit."""

from __future__ import annotations

import socket
import threading

import pytest

from dpmiddleware.repositories.bounded import Bounded, Call, current_call, within


def test_a_call_in_time_gives_its_result() -> None:
    assert within(30, Call(), lambda: 42) == 42


def test_a_call_in_time_raises_its_error() -> None:
    with pytest.raises(KeyError, match="lost"):
        within(30, Call(), lambda: {"found": 1}["lost"])


def test_a_call_that_never_ends_is_let_go() -> None:
    never = threading.Event()
    try:
        with pytest.raises(TimeoutError, match=r"0\.05 seconds"):
            within(0.05, Call(), never.wait)
    finally:
        never.set()


def test_a_call_that_waits_for_a_socket_ends_when_it_is_let_go() -> None:
    """Otherwise every poll of a store that does not answer would leave a thread and a connection behind."""
    ours, theirs = socket.socketpair()
    ended = threading.Event()
    call = Call()
    call.connection = ours

    def wait() -> None:
        ours.recv(1)
        ended.set()

    with ours, theirs:
        with pytest.raises(TimeoutError):
            within(0.05, call, wait)
        assert ended.wait(30)


def test_a_connection_that_shows_no_socket_is_left_alone() -> None:
    call = Call()
    call.connection = object()
    call.shut()


def test_a_call_inside_of_a_call_is_a_part_of_it() -> None:
    """A commit reads: it is one call, in one thread."""
    calls = Bounded()

    def outer() -> list[threading.Thread]:
        return [threading.current_thread(), calls.run(0.001, threading.current_thread)]

    first, second = calls.run(30, outer)
    assert first is second is not threading.current_thread()
    assert current_call() is None


def test_calls_that_hang_are_counted_and_further_ones_fail_at_once() -> None:
    never = threading.Event()
    started: list[threading.Thread] = []

    def hang() -> None:
        started.append(threading.current_thread())
        never.wait()

    abandoned: list[int] = []
    calls = Bounded(lambda: abandoned.append(1))
    try:
        for _ in range(2):
            with pytest.raises(TimeoutError, match="no answer"):
                calls.run(0.01, hang)
        for _ in range(5):
            with pytest.raises(TimeoutError, match="2 earlier calls still hang"):
                calls.run(0.01, hang)
        assert (len(started), len(abandoned)) == (2, 2)
    finally:
        never.set()
    for thread in started:
        thread.join(30)
    assert calls.run(30, lambda: 42) == 42


def test_an_error_of_the_call_itself_is_not_taken_for_its_end() -> None:
    calls = Bounded(lambda: pytest.fail("nothing hangs"))

    def fail() -> None:
        raise TimeoutError("the library's own")

    for _ in range(5):
        with pytest.raises(TimeoutError, match="the library's own"):
            calls.run(30, fail)


def test_where_no_thread_can_be_started_a_call_runs_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the end of the interpreter: an application may still protect something."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert Bounded().run(30, threading.current_thread) is threading.current_thread()
