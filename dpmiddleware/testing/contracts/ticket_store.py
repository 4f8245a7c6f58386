"""The contract of `TicketStore` as one suite. The test class of a store inherits it and provides the store.

To test a store of your own, whose methods may be coroutine functions::

    class TestMyTickets(TicketStoreContract):
        @pytest.fixture
        def store(self) -> TicketStore:
            return MyTickets()          # empty
"""

from __future__ import annotations

import asyncio
import inspect
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from typing import Any, Final

import pytest

from dpmiddleware.errors import RepositoryError
from dpmiddleware.testing.contracts.store import PASSWORD
from dpmiddleware.testing.contracts.together import at_once
from dpmiddleware.web.sign_in.ticket_store import TicketStore

__all__ = ["TicketStoreContract"]

HOUR: Final = timedelta(hours=1)
Finish = Callable[[Any], Any]


class TicketStoreContract(ABC):
    """What every ticket store promises."""

    @pytest.fixture
    @abstractmethod
    def store(self) -> TicketStore:
        """The store to test, empty."""

    @pytest.fixture
    def unreachable(self) -> TicketStore | None:
        """A store whose server is away, reached with the password `PASSWORD`; ``None`` if there is no server."""
        return None

    @pytest.fixture
    def finish(self) -> Iterator[Finish]:
        """The result of a call. Coroutines of one test run in one event loop."""
        with asyncio.Runner() as runner:
            yield lambda given: runner.run(_result_of(given)) if inspect.isawaitable(given) else given

    def test_what_is_kept_is_found_under_its_name_only(self, store: TicketStore, finish: Finish) -> None:
        finish(store.put("a", b"\0one", HOUR))
        finish(store.put("b", b"two", None))
        assert [finish(store.get(name)) for name in "abc"] == [b"\0one", b"two", None]

    def test_a_value_is_replaced_where_one_is(self, store: TicketStore, finish: Finish) -> None:
        finish(store.put("a", b"one", HOUR))
        assert finish(store.replace("a", b"two", HOUR)) is True
        assert finish(store.get("a")) == b"two"

    def test_what_was_removed_is_not_brought_back(self, store: TicketStore, finish: Finish) -> None:
        finish(store.put("a", b"one", HOUR))
        finish(store.remove("a"))
        assert finish(store.replace("a", b"two", HOUR)) is False
        assert finish(store.get("a")) is None

    def test_removing_what_is_not_there_is_not_an_error(self, store: TicketStore, finish: Finish) -> None:
        finish(store.remove("a"))
        finish(store.remove("a"))

    def test_a_value_is_forgotten_when_its_time_is_over(self, store: TicketStore, finish: Finish) -> None:
        finish(store.put("a", b"one", timedelta(milliseconds=1)))
        deadline = time.monotonic() + 10
        while finish(store.get("a")) is not None:
            assert time.monotonic() < deadline, "still there after ten seconds"
        assert finish(store.replace("a", b"two", HOUR)) is False

    def test_a_replacement_has_its_own_time(self, store: TicketStore, finish: Finish) -> None:
        finish(store.put("a", b"one", HOUR))
        finish(store.replace("a", b"two", timedelta(milliseconds=1)))
        deadline = time.monotonic() + 10
        while finish(store.get("a")) is not None:
            assert time.monotonic() < deadline, "still there after ten seconds"

    def test_of_many_replacements_and_one_removal_nothing_is_left(self, store: TicketStore, finish: Finish) -> None:
        """A renewal in flight while somebody signs out: whatever the order, the sign-out wins."""
        for turn in range(20):
            finish(store.put("a", b"one", HOUR))

            def work(number: int, removing: int = turn % 4) -> Any:  # the last to start is often the first to run
                return store.remove("a") if number == removing else store.replace("a", b"two", HOUR)

            if inspect.iscoroutinefunction(store.replace):
                finish(_all_of([work(number) for number in range(4)]))
            else:
                assert at_once(4, work) == [None] * 4
            assert finish(store.get("a")) is None

    def test_a_store_that_is_down_is_an_outage_and_not_an_empty_one(
        self, unreachable: TicketStore | None, finish: Finish
    ) -> None:
        if unreachable is None:
            return  # nothing can be down
        calls: list[Callable[[], Any]] = [
            lambda: unreachable.get("a"),
            lambda: unreachable.put("a", b"", HOUR),
            lambda: unreachable.replace("a", b"", HOUR),
            lambda: unreachable.remove("a"),
        ]
        for call in calls:
            with pytest.raises(RepositoryError) as caught:
                finish(call())
            assert caught.value.hint
            assert PASSWORD not in f"{caught.value} {caught.value.hint} {unreachable!r}"


async def _result_of(given: Awaitable[Any]) -> Any:
    return await given


async def _all_of(given: list[Awaitable[Any]]) -> None:
    await asyncio.gather(*given)
