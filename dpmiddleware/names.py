"""Unknown names of settings are refused, with the nearest known one: a setting that is ignored is a surprise later."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from dpmiddleware.errors import ConfigurationError
from dpmiddleware.printable import printable

__all__ = ["nearest", "refuse_unknown", "refuse_unknown_variables"]

_PREFIX: Final = "DPM_"
_OTHER_VARIABLES: Final = (
    "DPM_PURE_PYTHON",
    "DPM_REQUIRE_SERVERS",
    "DPM_ASPNET_PEER",
    "DPM_FARM_SEED",
    "DPM_WINDOWS_PACKAGES",
    "DPM_WINDOWS_PYTHON",
)
"""Variables that are not settings: of the compiled core, and of this project's own tests."""
_REFERENCE: Final = re.compile(r"env:([A-Za-z0-9_]+)")


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint: the known name that is most like ``name``, or all of them."""
    import difflib  # only after a mistake

    names = list(known)
    folded = {one.lower(): one for one in names}
    wanted = name.lower()
    near = [one for one in folded if one.startswith(wanted)] or difflib.get_close_matches(wanted, folded, 1)
    return f"use {folded[near[0]]}" if near else f"use one of: {', '.join(names)}"


def refuse_unknown(given: Iterable[object], known: Iterable[str], *, prefix: str = "") -> None:
    """`ConfigurationError` for the first of ``given`` that is not in ``known``. prefix: stands before all names."""
    names = [prefix + name for name in known]
    for name in given:
        if name not in names:
            raise ConfigurationError(f"the setting {printable(name, 80)!r} is unknown", hint=nearest(str(name), names))


def refuse_unknown_variables(environment: Mapping[str, str], settings: Iterable[str], used: Iterable[str] = ()) -> None:
    """`ConfigurationError` for a variable ``DPM_…`` that is neither a setting, nor named by one as ``env:NAME``.

    settings: the names of the settings, in lower case.
    used: other texts in which a variable may be named.
    """
    known = [*(_PREFIX + name.upper() for name in settings), *_OTHER_VARIABLES]
    texts = [*used, *(environment.get(name, "") for name in known)]
    named = {variable for text in texts for variable in _REFERENCE.findall(text)}
    for name, value in environment.items():
        if value and name.upper().startswith(_PREFIX) and name not in known and name not in named:
            hint = f"{nearest(name, known)}; a variable of your own needs a name that does not begin with {_PREFIX}"
            raise ConfigurationError(f"the variable {printable(name, 80)} is unknown", hint=hint)
