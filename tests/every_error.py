"""Every class of error in the package, and one error of each."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any

import dpmiddleware
from dpmiddleware.errors import DataProtectionError
from dpmiddleware.keys.reading import Reading

__all__ = ["ERRORS", "error_of", "hint_of"]

FRAMEWORKS = ("dpmiddleware.django", "dpmiddleware.__main__")
"""Not imported here: Django's modules need settings, and the other runs ``dpm``. They define no errors."""

CONSTRUCTORS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "MissingExtraError": (("redis", "redis://"), {}),
    "ExpiredPayloadError": (("it is late",), {"expired_at": "2026-01-01T00:00:00Z"}),
    "IncompleteReadingError": ((Reading("1", "memory:", (), (), lost_revocation="a document cannot be read"),), {}),
}
"""Arguments of the classes that do not take just a message."""


def subclasses_of(kind: type[DataProtectionError]) -> Iterator[type[DataProtectionError]]:
    yield kind
    for each in kind.__subclasses__():
        yield from subclasses_of(each)


def every_class() -> dict[str, type[DataProtectionError]]:
    for module in pkgutil.walk_packages(dpmiddleware.__path__, "dpmiddleware."):
        if not module.name.startswith(FRAMEWORKS):
            importlib.import_module(module.name)
    found = {kind.__name__: kind for kind in subclasses_of(DataProtectionError)}
    return {name: kind for name, kind in found.items() if kind.__module__.startswith("dpmiddleware.")}


ERRORS = every_class()


def hint_of(name: str) -> str:
    """A hint that is nowhere else."""
    return f"look up {name} in the manual"


def error_of(name: str) -> DataProtectionError:
    """An error of the class, with `hint_of`."""
    arguments, named = CONSTRUCTORS.get(name, ((f"what {name} says",), {}))
    error = ERRORS[name](*arguments, **named)
    error.hint = hint_of(name)
    return error
