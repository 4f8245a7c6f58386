"""What a process renews in a child that it forks: locks, which another thread may have held at that moment."""

from __future__ import annotations

import os
from collections.abc import Callable
from types import MethodType
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

__all__ = ["after_fork"]

_Action = TypeVar("_Action", bound=Callable[[], object])

_functions: Final[list[Callable[[], object]]] = []
_methods: Final[WeakKeyDictionary[object, list[Callable[[Any], object]]]] = WeakKeyDictionary()


def after_fork(action: _Action) -> _Action:
    """Call ``action`` in every child that this process forks, before anything else runs there.

    A bound method does not keep its object alive. Does nothing on systems without ``fork``.
    """
    given: object = action
    if isinstance(given, MethodType):
        _methods.setdefault(given.__self__, []).append(given.__func__)
    else:
        _functions.append(action)
    return action


def _run() -> None:
    for function in _functions:
        function()
    for owner, methods in list(_methods.items()):
        for method in methods:
            method(owner)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_run)
