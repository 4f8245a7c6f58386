"""How a setting is written in each place where settings stand, so that an error uses the reader's own name.

============  =============  ==========================================
place         `Spelling`     ``key_wrapper``
============  =============  ==========================================
Python        `ARGUMENT`     ``key_wrapper=``
environment   `VARIABLE`     ``DPM_KEY_WRAPPER``
TOML          `TABLE`        ``data_protection.key_wrapper``
Flask         `FLASK`        ``DATA_PROTECTION_KEY_WRAPPER``
Django        `DJANGO`       ``DATA_PROTECTION["key_wrapper"]``
``dpm``       `OPTION`       ``--key-wrapper``
============  =============  ==========================================

Errors of this package name a setting as an argument, with ``=`` after it. `spelled` replaces that in an error that
leaves its block.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from dpmiddleware.errors import ConfigurationError

__all__ = [
    "ARGUMENT",
    "DJANGO",
    "FLASK",
    "FLASK_PREFIX",
    "OPTION",
    "TABLE",
    "VARIABLE",
    "VARIABLE_PREFIX",
    "Spelling",
    "option_or_variable",
    "replaced",
    "respell",
    "spelled",
]

VARIABLE_PREFIX: Final = "DPM_"
FLASK_PREFIX: Final = "DATA_PROTECTION_"
_OPTIONS: Final = {"trusted_signers": "--trusted-signer", "auto_create_keys": "DPM_AUTO_CREATE_KEYS"}


@dataclass(frozen=True, slots=True)
class Spelling:
    """Writes the names of settings as one place has them.

    write: from the name. reads_variables: whether the variable ``DPM_…`` counts there for what is not given.
    """

    write: Callable[[str], str]
    reads_variables: bool = False


ARGUMENT: Final = Spelling(lambda name: f"{name}=")
VARIABLE: Final = Spelling(lambda name: VARIABLE_PREFIX + name.upper(), reads_variables=True)
TABLE: Final = Spelling(lambda name: f"data_protection.{name}")
FLASK: Final = Spelling(lambda name: FLASK_PREFIX + name.upper())
DJANGO: Final = Spelling(lambda name: f'DATA_PROTECTION["{name}"]')
OPTION: Final = Spelling(lambda name: _OPTIONS.get(name) or f"--{name.replace('_', '-')}", reads_variables=True)


def option_or_variable(in_variables: Collection[str]) -> Spelling:
    """For ``dpm``: the settings that come from variables are written so, all others as options."""
    return Spelling(lambda name: (VARIABLE if name in in_variables else OPTION).write(name), reads_variables=True)


@contextmanager
def spelled(names: Iterable[str], spelling: Spelling) -> Iterator[None]:
    """In configuration errors that leave the block, these names of settings are written as ``spelling`` writes them."""
    try:
        yield
    except ConfigurationError as error:
        if spelling is not ARGUMENT:
            respell(error, {name: spelling.write(name) for name in names})
        raise


def respell(error: ConfigurationError, names: Mapping[str, str]) -> None:
    """Replace the names of arguments in the message and in the hint of an error."""
    error.args = (replaced(str(error), names), *error.args[1:])
    error.hint = replaced(error.hint, names)


def replaced(text: str, names: Mapping[str, str]) -> str:
    """A text with ``name=``, and the ``name`` that `dpmiddleware.arguments` writes, replaced by other names."""
    known = "|".join(map(re.escape, names))
    text = re.sub(rf"(?<![\w.?&/-])({known})=(?=[\w'\"…(\[-])", lambda found: f"{names[found[1]]}=", text)
    text = re.sub(rf"(?<![\w.?&/-])({known})=", lambda found: names[found[1]], text)
    return re.sub(rf"\bas ({known})(?=, not )", lambda found: f"as {names[found[1]]}", text)
