"""What a repository on another machine promises in addition: nobody waits for it for long, and no password is shown."""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import Final

import pytest

from dpmiddleware.errors import RepositoryError
from dpmiddleware.keys.interfaces import KeyRepository
from dpmiddleware.repositories.base import Repository
from dpmiddleware.testing.contracts.repository import RepositoryContract
from dpmiddleware.testing.contracts.store import PASSWORD, document, refusal
from dpmiddleware.testing.contracts.together import at_once
from dpmiddleware.testing.frames import shown_in

__all__ = ["RemoteRepositoryContract", "silent_server", "store_threads"]

_LOOPBACK: Final = "127.0.0.1"


class RemoteRepositoryContract(RepositoryContract):
    """What a repository promises in addition if the store is another machine."""

    def at(self, port: int) -> KeyRepository:
        """A repository on what listens on this port of loopback, with the password `PASSWORD`."""
        raise NotImplementedError("a test class says how to get there")

    def test_constructing_connects_to_nobody(self) -> None:
        with socket.create_server((_LOOPBACK, 0)) as server:
            server.setblocking(False)
            assert PASSWORD not in self.at(server.getsockname()[1]).location
            with pytest.raises(BlockingIOError):
                server.accept()

    def test_a_store_that_is_down_is_an_error_and_not_an_empty_one(self) -> None:
        repository = self.at(_closed_port())
        for action in (repository.read, repository.version, lambda: repository.commit(add=[document()], expected="0")):
            with refusal(repository):
                action()

    def test_no_frame_of_an_error_holds_a_password_or_a_document(self) -> None:
        """Error reporters send local variables along."""
        repository, added = self.at(_closed_port()), document("a key that is not wrapped")
        for action in (repository.read, repository.version, lambda: repository.commit(add=[added], expected="0")):
            with pytest.raises(RepositoryError) as caught:
                action()
            assert shown_in(caught.value, [PASSWORD.encode(), b"a key that is not wrapped"]) == []

    def test_a_store_that_answers_nothing_is_let_go(self) -> None:
        with socket.create_server((_LOOPBACK, 0)) as server:  # accepts connections, does not answer
            repository = self.at(server.getsockname()[1])

            def ask(_: int) -> None:
                with refusal(repository):
                    repository.version()

            assert at_once(1, ask, seconds=20) == [None]

    drips: bytes = b""
    """The beginning of an answer that the store's client reads on and on. After it, one byte comes after another."""

    @pytest.mark.parametrize("dripping", [False, True], ids=["never answers", "sends a byte now and then"])
    @pytest.mark.parametrize("name", ["read", "version", "commit"])
    def test_a_store_that_does_not_end_its_answer_is_abandoned(self, name: str, dripping: bool) -> None:
        """Timeouts of clients are per receive. No number of such calls leaves more than two threads behind."""
        with silent_server(self.drips if dripping else None) as port:
            repository = self.at(port)
            if isinstance(repository, Repository):  # another one takes its whole five seconds
                repository._seconds = 0.15
            calls: dict[str, Callable[[], object]] = {
                "read": repository.read,
                "version": repository.version,
                "commit": lambda: repository.commit(add=[document()], expected="0"),
            }

            def ask(_: int) -> None:
                for _ in range(3):
                    with refusal(repository):
                        calls[name]()

            before = store_threads()
            assert at_once(1, ask, seconds=60) == [None]
            assert store_threads() <= before + 2


def _closed_port() -> int:
    """A port of loopback that nobody listens on at this moment."""
    with socket.create_server((_LOOPBACK, 0)) as server:
        port: int = server.getsockname()[1]
        return port


def store_threads() -> int:
    """How many threads wait for a store of this package."""
    return sum(thread.name == "dpmiddleware-store" for thread in threading.enumerate())


@contextmanager
def silent_server(drips: bytes | None) -> Generator[int]:
    """A server that accepts connections and answers nothing, or else this and then bytes without an end. Its port."""
    stopped = threading.Event()

    def answer(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.recv(4096)
            for byte in itertools.chain(drips or b"", itertools.repeat(0x78)):
                connection.sendall(bytes([byte]))
                if stopped.wait(0.02):
                    return

    def accept(server: socket.socket) -> None:
        with suppress(OSError):
            while not stopped.is_set():
                connection, _ = server.accept()
                kept.append(connection)
                if drips is not None:
                    threading.Thread(target=answer, args=(connection,), daemon=True).start()

    kept: list[socket.socket] = []
    with socket.create_server((_LOOPBACK, 0)) as server:
        threading.Thread(target=accept, args=(server,), daemon=True).start()
        try:
            yield server.getsockname()[1]
        finally:
            stopped.set()
            for connection in kept:
                connection.close()
