"""Names a parameter of a URL that the driver of a store does not know. Each driver says so in its own words."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable
from typing import Any, Final

from dpmiddleware.names import nearest
from dpmiddleware.printable import printable
from dpmiddleware.secret_sources import may_be_secret

__all__ = ["bad_value", "named_arguments", "unknown_parameter"]

_SAID: Final = re.compile(
    r"""unexpected keyword argument '(\w+)'|'(\w+)' is an invalid keyword argument|invalid connection option "(\w+)\""""
)
"""By Python, by C modules, by libpq."""
_BAD_VALUE: Final = re.compile(
    r"""Invalid value for '(\w+)' in|bad value for (\w+):|invalid (\w+) value: "|for connection option "(\w+)\""""
)
"""By redis-py, by psycopg, by libpq."""


def unknown_parameter(error: BaseException | None, known: Callable[[], Iterable[str]]) -> tuple[str, str] | None:
    """What to say about the error of a driver, and a hint; ``None`` if it is about something else.

    known: the parameters of the driver, as far as they can be found out.
    """
    said = _SAID.search(str(error))
    if said is None:
        return None
    name = next(filter(None, said.groups()))
    if may_be_secret(name):
        return "the URL has a parameter that the driver does not know", "correct the parameters of the URL"
    near = nearest(name, known())
    hint = "correct or leave out this parameter of the URL" if near.startswith("use one of") else near
    return f"the URL has the parameter {printable(name, 60)!r}, which the driver does not know", hint


def bad_value(error: BaseException | None) -> str:
    """A hint that names the parameter whose value a driver cannot read; "" if its error is about something else."""
    said = _BAD_VALUE.search(str(error))
    name = "" if said is None else next(filter(None, said.groups()))
    return f"correct the value of {printable(name, 60)} in the URL" if name and not may_be_secret(name) else ""


def named_arguments(*constructors: type[Any]) -> set[str]:
    """The arguments of the constructors of these classes and of their bases."""
    found: set[str] = set()
    for base in (base for one in constructors for base in one.__mro__ if "__init__" in vars(base)):
        found |= set(inspect.signature(vars(base)["__init__"]).parameters) - {"self", "args", "kwargs"}
    return found - {"password", "passwd"}
