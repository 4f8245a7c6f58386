"""Work that may need I/O, written without it: generators that yield what they need and are sent the answers.

One text then serves WSGI, where `drive` does what is asked in the request's thread, and ASGI, where the shell awaits
coroutine functions and runs plain ones in a worker thread.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeVar

from dpmiddleware.errors import ConfigurationError

__all__ = ["Call", "Steps", "drive"]

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Call:
    """Something that a step needs done: call ``function`` with ``arguments``, wait if the answer is awaitable."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()


Steps = Generator[Call, Any, _T]
"""Yields what it needs, is sent the answers, returns a ``_T``."""


def drive(steps: Steps[_T]) -> _T:
    """Do all that ``steps`` need, here and now. A coroutine function is a `ConfigurationError`: it needs ASGI."""
    try:
        call = next(steps)
        while True:
            try:
                answer = _plain(call, call.function(*call.arguments))
            except Exception as error:  # noqa: BLE001 (the steps decide; what they do not catch comes back out)
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
    name = getattr(call.function, "__qualname__", "a part of cookie authentication")
    raise ConfigurationError(f"{name} is a coroutine function", hint="WSGI needs a plain function")
