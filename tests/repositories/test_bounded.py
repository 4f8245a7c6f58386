"""Calls with a time limit."""

from __future__ import annotations

import socket
import threading

import pytest

from dpmiddleware.repositories.bounded import Call, within


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
