"""Marks on the functions of routes: attributes that a decorator sets, and a shell looks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from dpmiddleware.errors import WrongTypeError

__all__ = ["mark"]

_Endpoint = TypeVar("_Endpoint", bound=Callable[..., Any])


def mark(endpoint: _Endpoint, name: str, *, value: bool) -> _Endpoint:
    """Set the mark ``name`` on the function (or class) of a route, and return it."""
    try:
        setattr(endpoint, name, value)
    except (AttributeError, TypeError):
        raise WrongTypeError(
            f"{type(endpoint).__name__} cannot be marked", hint="put the decorator on the function of a route"
        ) from None
    return endpoint
