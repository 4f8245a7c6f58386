"""Whether a value fits a type annotation, and what to say if it does not. ::

    annotation      also fits, and is converted
    timedelta       a number: seconds
    Literal         its texts in any case

An annotation is read as `typing.get_type_hints` returns it. What is not understood fits.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from types import NoneType, UnionType
from typing import IO, Any, Final, Literal, TypeVar, Union, cast, get_args, get_origin

__all__ = ["WORDS", "MisfitError", "Usual", "alternatives", "example", "fitted", "in_words", "lack", "span"]

_EXAMPLES: Final = {
    "AuthenticationProperties": "AuthenticationProperties(is_persistent=True)",
    "CookieSettings": 'CookieSettings("auth")',
    "DataProtection": 'DataProtection("shop")',
    "Principal": 'Principal("ada", claims={"sub": "7"})',
    "timedelta": "timedelta(hours=1), or 3600",
}
WORDS: Final[dict[Any, str]] = {
    str: "text",
    bytes: "bytes",
    bool: "True or False",
    int: "a whole number",
    float: "a number",
    NoneType: "None",
}


class MisfitError(Exception):
    """A value does not fit an annotation."""


# --- fitting -------------------------------------------------------------------------------------------------


class Usual:
    """What fits an annotation at first glance: values of exactly its types, lists and dictionaries of them."""

    __slots__ = ("_any", "_items", "_pairs", "_types")

    def __init__(self, hint: Any) -> None:
        found = list(alternatives(hint))
        inner = {get_origin(each): list(map(Usual, get_args(each))) for each in found}
        self._any = Any in found or object in found
        self._types = {each for each in found if isinstance(each, type) and get_origin(each) is None}
        self._items = next((inner[kind][0] for kind in (Sequence, Iterable) if kind in inner), None)
        self._pairs = inner.get(Mapping)

    def fits(self, value: Any) -> bool:
        """Whether a value is one of these; others may fit too (`fitted`)."""
        kind = type(value)
        if self._any or kind in self._types:
            return True
        if (kind is tuple or kind is list) and self._items is not None:
            return all(map(self._items.fits, value))
        if kind is dict and self._pairs is not None:
            return all(map(self._pairs[0].fits, value)) and all(map(self._pairs[1].fits, value.values()))
        return False


def span(time: timedelta | float) -> timedelta:
    """A time span; a number counts as seconds."""
    return time if isinstance(time, timedelta) else timedelta(seconds=time)


def alternatives(hint: Any) -> Iterator[Any]:
    """The members of a union or of a type variable; otherwise the annotation itself."""
    if get_origin(hint) in {Union, UnionType}:
        for each in get_args(hint):
            yield from alternatives(each)
    elif isinstance(hint, TypeVar):
        for each in hint.__constraints__ or (hint.__bound__ or Any,):
            yield from alternatives(each)
    else:
        yield hint


def fitted(value: Any, hint: Any) -> Any:
    """The value for an argument with this annotation, converted where that is possible; `MisfitError`."""
    for alternative in alternatives(hint):
        try:
            return _fitted_to_one(value, alternative)
        except MisfitError:
            continue
    raise MisfitError


def _fitted_to_one(value: Any, hint: Any) -> Any:
    origin: Any = get_origin(hint)
    inner = get_args(hint)
    if hint is Any or hint is object:
        return value
    if origin == Literal and isinstance(value, str):  # an unknown text has an error of its own
        return value.lower() if value.lower() in inner else value
    if hint is timedelta and _is_number(value):
        try:
            return span(value)
        except (OverflowError, ValueError):
            raise MisfitError from None
    if isinstance(origin, type) and issubclass(origin, Iterable) and inner:
        return _fitted_items(value, origin, inner)
    if not _is_of(value, origin or hint):
        raise MisfitError
    return value


def _fitted_items(value: Any, origin: type, inner: tuple[Any, ...]) -> Any:
    if not isinstance(value, origin) or isinstance(value, (str, bytes, type)):
        raise MisfitError
    if isinstance(value, Mapping) and issubclass(origin, Mapping):
        for key, item in value.items():
            fitted(key, inner[0])
            fitted(item, inner[1])
        return value
    items = tuple(fitted(item, inner[0]) for item in cast("Iterable[Any]", value))
    return value if issubclass(origin, Sequence) else items  # a generator is used up now


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_of(value: Any, kind: Any) -> bool:
    if kind in {int, float}:
        return _is_number(value) and (kind is float or isinstance(value, int))
    if not isinstance(kind, type):
        return kind is not Literal
    if kind is IO:
        return hasattr(value, "read") and hasattr(value, "write")
    if getattr(kind, "_is_protocol", False):
        return not _missing(value, kind)
    return isinstance(value, kind)


def _missing(value: Any, protocol: type) -> list[str]:
    """The members of a protocol that a value lacks."""
    found = [base for base in protocol.__mro__ if getattr(base, "_is_protocol", False) and base.__module__ != "typing"]
    names = dict.fromkeys(name for base in found for name in (*vars(base), *inspect.get_annotations(base)))
    looked_at = type(value) if isinstance(value, type) else value  # a class is not the object that it makes
    missing = [name for name in names if not name.startswith("_") and not hasattr(looked_at, name)]
    return sorted(missing, key=lambda name: not callable(getattr(protocol, name, None)))  # methods first


# --- words ---------------------------------------------------------------------------------------------------


def lack(value: Any, hint: Any) -> str:
    """What an object of the application lacks, if it is almost one of an interface."""
    missing = next((_missing(value, each) for each in alternatives(hint) if getattr(each, "_is_protocol", False)), [])
    return f": it has no {', '.join(missing)}" if missing and type(value) not in WORDS else ""


def in_words(hint: Any) -> str:
    """An annotation in words."""
    return " or ".join(dict.fromkeys(map(_one_in_words, alternatives(hint))))


def _one_in_words(hint: Any) -> str:
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Literal:
        return " or ".join(map(repr, inner))
    if origin is Callable or hint is Callable:
        return "a function"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"a mapping of {in_words(inner[0])} to {in_words(inner[1])}"
    if isinstance(origin, type) and issubclass(origin, Iterable) and inner:
        return f"a list of ({in_words(inner[0])})"
    name = getattr(origin or hint, "__name__", str(hint))
    return WORDS.get(hint) or ("an " if name.startswith(("A", "E", "I", "O", "HTTP")) else "a ") + name


def example(hint: Any) -> str:
    """An example of a value, to add to a hint; "" if there is none."""
    names = [getattr(each, "__name__", "") for each in alternatives(hint)]
    found = [_EXAMPLES[name] for name in names if name in _EXAMPLES]
    return f", for example {found[0]}" if found else ""
