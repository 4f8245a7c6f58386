"""What a process renews in a child that it forks: locks, which another thread may have held at that moment."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from types import MethodType
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

__all__ = ["after_fork"]

_Action = TypeVar("_Action", bound=Callable[[], object])

_functions: Final[list[Callable[[], object]]] = []
_methods: Final[WeakKeyDictionary[object, list[Callable[[Any], object]]]] = WeakKeyDictionary()


def after_fork(action: _Action) -> _Action:
    """Call ``action`` in every child that this process forks, before anything else runs there.

    A bound method does not keep its object alive. Does nothing on systems without ``fork``. An error does not keep the
    other actions from being called; Python reports it, as all errors after a fork.
    """
    given: object = action
    if isinstance(given, MethodType):
        _methods.setdefault(given.__self__, []).append(given.__func__)
    else:
        _functions.append(action)
    return action


def _run() -> None:
    actions = list(_functions)
    for owner, methods in list(_methods.items()):
        actions += [partial(method, owner) for method in methods]
    errors: list[Exception] = []
    for action in actions:
        try:
            action()
        except Exception as error:  # noqa: BLE001 (raised below)
            errors.append(error)
    if errors:
        raise ExceptionGroup("actions after a fork failed", errors)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_run)
