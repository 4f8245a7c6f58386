"""Keeps key bytes and passwords out of tracebacks.

Error reporters (Sentry, the debug pages of frameworks, `traceback` with ``capture_locals``) show the local variables of
all frames that an error has passed through. A function that handles secrets is decorated with `hides_locals`; a class
whose methods do is a `HidesLocals`. Both also clear the frames of what was called, so functions that are only called by
these need nothing.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from functools import wraps
from types import FunctionType
from typing import ParamSpec, TypeVar

__all__ = ["HidesLocals", "hides_locals"]

_P = ParamSpec("_P")
_R = TypeVar("_R")


def hides_locals(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Clear the local variables of ``function`` and of all that it called when an error leaves it.

    This includes the errors that caused that error, but not one that was already being handled before the call.
    """

    @wraps(function)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        handled = sys.exception()
        try:
            return function(*args, **kwargs)
        except BaseException as error:
            del args, kwargs
            _clear(error, handled)
            raise

    return call


class HidesLocals:
    """Base of classes whose constructors and public methods handle secrets: these are decorated with `hides_locals`."""

    __slots__ = ()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for name, member in list(vars(cls).items()):
            if name.startswith("_") and name != "__init__":
                continue
            if isinstance(member, FunctionType):
                setattr(cls, name, hides_locals(member))
            elif isinstance(member, classmethod):
                setattr(cls, name, classmethod(hides_locals(member.__func__)))
            elif isinstance(member, property) and member.fget is not None:
                setattr(cls, name, property(hides_locals(member.fget)))


def _clear(error: BaseException, handled: BaseException | None) -> None:
    seen = {None, handled}
    to_clear: list[BaseException | None] = [error]
    while to_clear:
        one = to_clear.pop()
        if one is not None and one not in seen:
            seen.add(one)
            traceback.clear_frames(one.__traceback__)
            to_clear += [one.__cause__, one.__context__]
