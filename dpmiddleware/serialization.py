"""Serializes values so that they can be read back. An error names the value that cannot be serialized."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeVar

from dpmiddleware.errors import ConfigurationError, WrongTypeError
from dpmiddleware.printable import printable

__all__ = ["MAX_DEPTH", "json_encoder", "serialize"]

MAX_DEPTH: Final = 100
"""Levels of dictionaries and lists. Parsers recurse: how deep they get depends on Python and on the caller's stack."""
_LONGEST_PATH: Final = 10
_ERRORS: Final = (TypeError, ValueError, OverflowError, RecursionError)

_T = TypeVar("_T", str, bytes)


def json_encoder(*, ensure_ascii: bool = True, sort_keys: bool = False) -> Callable[[object], str]:
    """Return a function that writes compact JSON, as ``json.dumps`` does with these arguments.

    `json.JSONEncoder.encode` creates the encoder of its C code at each call, a quarter of the time for a session. Here
    it is created once, without the memory of what is being written: a value that contains itself is a
    ``RecursionError``, as one that is too deep is.
    """
    encoder = json.JSONEncoder(ensure_ascii=ensure_ascii, sort_keys=sort_keys, separators=(",", ":"))
    make: Callable[..., Callable[[object, int], tuple[str, ...]]] | None = getattr(json.encoder, "c_make_encoder", None)
    if make is None:  # an interpreter without that code
        return encoder.encode
    text = json.encoder.encode_basestring_ascii if ensure_ascii else json.encoder.encode_basestring
    write = make(None, encoder.default, text, None, ":", ",", sort_keys, False, True)  # noqa: FBT003 (its signature)
    return lambda value: "".join(write(value, 0))


def serialize(dumps: Callable[[Any], _T], value: object, what: str) -> _T:
    """Return ``dumps(value)``. `ConfigurationError` if that fails, or if ``value`` is too deep to be read back.

    what: names the value in the error, as code would: ``session``.
    """
    try:
        written = dumps(value)
    except _ERRORS as error:
        path, culprit = _culprit(dumps, value, what, into=type(error) is TypeError)
        kind = "it is too deep, or contains itself" if isinstance(error, RecursionError) else printable(error)
        raise WrongTypeError(
            f"{path} cannot be serialized ({type(culprit).__name__}): {kind}",
            hint="store text, numbers, lists and dictionaries, or use a format that knows the type",
        ) from error
    brackets = written.count("[") + written.count("{") if isinstance(written, str) else _brackets(written)
    if brackets > MAX_DEPTH and _is_deep(value, MAX_DEPTH):
        raise ConfigurationError(
            f"{_deep_part(value, what)} is nested more than {MAX_DEPTH} levels deep",
            hint="store a flat form of it, or an id under which the server keeps it",
        )
    return written


def _brackets(written: bytes) -> int:
    return written.count(b"[") + written.count(b"{")


def _parts(value: object) -> Iterator[tuple[object, object]]:
    if isinstance(value, Mapping):
        yield from value.items()
    elif isinstance(value, (list, tuple)):
        yield from enumerate(value)


def _culprit(dumps: Callable[[Any], object], value: object, path: str, *, into: bool) -> tuple[str, object]:
    """Return the path of the part that cannot be serialized, and the part. into: look inside that part, too."""
    for _ in range(_LONGEST_PATH if into else 1):
        for key, part in _parts(value):
            if isinstance(value, Mapping) and _fails(dumps, {key: None}):
                return f"a key of {path}", key
            if _fails(dumps, {"": part}):
                path, value = f"{path}[{printable(repr(key), 60)}]", part
                break
        else:
            break
    return path, value


def _fails(dumps: Callable[[Any], object], value: object) -> bool:
    try:
        dumps(value)
    except _ERRORS:
        return True
    return False


def _is_deep(value: object, levels: int) -> bool:
    layer = {id(value): value}
    for _ in range(levels):
        parts = (part for each in layer.values() for _, part in _parts(each))
        layer = {id(part): part for part in parts if isinstance(part, (Mapping, list, tuple))}
        if not layer:
            return False
    return True


def _deep_part(value: object, what: str) -> str:
    deep = [key for key, part in _parts(value) if _is_deep(part, MAX_DEPTH - 1)]
    return f"{what}[{printable(repr(deep[0]), 60)}]" if deep else what
