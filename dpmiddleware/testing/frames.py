"""What the frames of a traceback show: the local variables that error reporters send along."""

from __future__ import annotations

import itertools
import traceback
import xml.etree.ElementTree as ET
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Final

__all__ = ["forms", "shown_in"]

_TESTING: Final = Path(__file__).parent


def forms(secret: bytes) -> Iterator[bytes]:
    """How a secret could appear: as it is, as its repr, in hexadecimal, in base64 wherever it may begin."""
    yield secret
    yield repr(secret)[2:-1].encode()
    yield secret.hex().encode()
    yield secret.hex().upper().encode()
    for shift, encode in itertools.product(range(3), (b64encode, urlsafe_b64encode)):
        yield encode(bytes(shift) + secret)[4:-4]


def shown_in(error: BaseException, secrets: Iterable[bytes]) -> list[str]:
    """The local variables that contain one of ``secrets``, in all frames of an error and of those behind it.

    Frames of tests do not count: those of this package, and of files called ``test_*.py`` or ``conftest.py``. What
    counts is the repr, which reporters show, and what is inside a variable: bytes, text, XML elements, containers and
    data classes, which some of them take apart.
    """
    sought = [form for secret in secrets for form in forms(secret)]
    return [
        f"{frame_name}: {name}"
        for one in _chain(error)
        for frame_name, name, text in _locals(one)
        if any(form in text for form in sought)
    ]


def _chain(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    to_see: list[BaseException | None] = [error]
    while to_see:
        one = to_see.pop()
        if one is not None and one not in found:
            found.append(one)
            to_see += [one.__cause__, one.__context__]
    return found


def _locals(error: BaseException) -> Iterator[tuple[str, str, bytes]]:
    for frame, line in traceback.walk_tb(error.__traceback__):
        if not _is_of_a_test(Path(frame.f_code.co_filename)):
            for name, value in frame.f_locals.items():
                yield f"{frame.f_code.co_qualname}:{line}", name, b"\n".join(_texts(value, 5))


def _is_of_a_test(file: Path) -> bool:
    return file.is_relative_to(_TESTING) or file.name == "conftest.py" or file.name.startswith("test_")


def _texts(value: object, depth: int) -> Iterator[bytes]:
    try:
        yield repr(value).encode("utf-8", "replace")
    except Exception:  # noqa: BLE001 (an object that is not complete)
        return
    if isinstance(value, (bytes, bytearray, memoryview)):
        yield bytes(value)
    elif isinstance(value, str):
        yield value.encode("utf-8", "replace")
    elif isinstance(value, ET.Element):
        yield ET.tostring(value)
    elif depth:
        for part in _parts(value):
            yield from _texts(part, depth - 1)


def _parts(value: object) -> Iterable[object]:
    if isinstance(value, Mapping):
        return (*value.keys(), *value.values())
    if isinstance(value, (list, tuple, set, frozenset)):
        return value
    if is_dataclass(value):
        return [getattr(value, field.name, None) for field in fields(value) if field.repr]
    return ()
