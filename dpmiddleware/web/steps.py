"""Work that may need I/O, written without it: generators that yield the calls they need and are sent the results.

The same code then serves WSGI, where `drive` makes each call in the request's thread, and ASGI, where the shell awaits
coroutine functions and runs plain functions in a worker thread.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from dpmiddleware.errors import ConfigurationError

__all__ = ["Call", "Ring", "Steps", "drive", "key_waits", "one_call"]

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Call:
    """A call that a step needs: ``function(*arguments)``, awaited if the result is awaitable."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()


Steps = Generator[Call, Any, _T]
"""Yields calls, is sent their results, returns a ``_T``."""


def one_call(function: Callable[..., Any], *arguments: Any) -> Steps[Any]:
    """One call, and its result."""
    return (yield Call(function, arguments))


def drive(steps: Steps[_T]) -> _T:
    """Make all calls of ``steps`` here and now. A coroutine function is a `ConfigurationError`: it needs ASGI."""
    try:
        call = next(steps)
        while True:
            try:
                answer = _plain(call, call.function(*call.arguments))
            except Exception as error:  # noqa: BLE001 (the steps decide; what they do not catch is raised from here)
                call = steps.throw(error)
            else:
                call = steps.send(answer)
    except StopIteration as stop:
        result: _T = stop.value
        return result


def _plain(call: Call, answer: Any) -> Any:
    if not inspect.isawaitable(answer):
        return answer
    if inspect.iscoroutine(answer):
        answer.close()
    name = getattr(call.function, "__qualname__", "a handler of cookie authentication")
    raise ConfigurationError(f"{name} is a coroutine function", hint="use a plain function with WSGI, or serve by ASGI")


class Ring(Protocol):
    """What a key ring says about waiting; see `dpmiddleware.keys.provider.KeyRingProvider`."""

    def wait_is_due(self, key_id: bytes | None) -> bool:
        """Whether opening a payload of this key would wait or fail."""
        ...

    def wait(self, key_id: bytes | None) -> None:
        """Do that waiting."""
        ...


def key_waits(ring: Ring, key_ids: Sequence[bytes]) -> Steps[None] | None:
    """Waiting until payloads of these keys can be opened at once; ``None`` where they can be opened now."""
    for key_id in key_ids:
        if ring.wait_is_due(key_id):
            return _wait(ring, key_ids)
    return None


def _wait(ring: Ring, key_ids: Sequence[bytes]) -> Steps[None]:
    for key_id in key_ids:
        if ring.wait_is_due(key_id):
            yield Call(ring.wait, (key_id,))
