"""`cross_origin_exempt`: the mark on the function of a route that other sites may post to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from dpmiddleware.marks import mark

__all__ = ["cross_origin_exempt", "is_exempt", "is_exempt_view"]

_MARK: Final = "_dpmiddleware_cross_origin_exempt"
_Endpoint = TypeVar("_Endpoint", bound=Callable[..., Any])


def cross_origin_exempt(endpoint: _Endpoint) -> _Endpoint:
    """Mark the function (or class) of a route that other sites may post to.

    It needs a proof of its own, such as a signature (webhooks) or a state (sign-in at a provider).
    """
    return mark(endpoint, _MARK, value=True)


def is_exempt(endpoint: object) -> bool:
    """Whether the function of a route has the mark; of a class itself, not of one that it is derived from."""
    attributes = vars(endpoint) if isinstance(endpoint, type) else {_MARK: getattr(endpoint, _MARK, False)}
    return attributes.get(_MARK) is True


def is_exempt_view(view: object) -> bool:
    """Whether a view of Flask, Quart or Django has the mark, or the class that it was made from (``View.as_view``)."""
    return is_exempt(view) or is_exempt(getattr(view, "view_class", None))
