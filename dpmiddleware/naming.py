"""How a setting is written in each place where settings stand, so that an error uses the reader's own name.

============  =============  ==========================================
place         `Naming`       ``key_wrapper``
============  =============  ==========================================
Python        `ARGUMENT`     ``key_wrapper=``
environment   `VARIABLE`     ``DPM_KEY_WRAPPER``
TOML          `TABLE`        ``data_protection.key_wrapper``
Flask         `FLASK`        ``DATA_PROTECTION_KEY_WRAPPER``
Django        `DJANGO`       ``DATA_PROTECTION["key_wrapper"]``
``dpm``       `OPTION`       ``--key-wrapper``
============  =============  ==========================================

Errors of this package name a setting as an argument, with ``=`` after it. `written_as` replaces that in an error that
leaves its block.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from dpmiddleware.errors import ConfigurationError

__all__ = [
    "ARGUMENT",
    "CROSS_ORIGIN",
    "DJANGO",
    "FLASK",
    "FLASK_PREFIX",
    "OPTION",
    "SESSION_COOKIE",
    "TABLE",
    "VARIABLE",
    "VARIABLE_PREFIX",
    "Naming",
    "option_or_variable",
    "renamed",
    "replaced",
    "written_as",
]

VARIABLE_PREFIX: Final = "DPM_"
FLASK_PREFIX: Final = "DATA_PROTECTION_"
CROSS_ORIGIN: Final = "DATA_PROTECTION_CROSS_ORIGIN"
"""The setting of Flask, Quart and Django with the options of cross-origin protection. It says nothing about a ring."""
_ARGUMENT: Final = re.compile(r"(?<![\w.?&/-])(\w+)=(?=([^\s,;:.)]?))")
"""An argument in a message, and the first character of its value if there is one."""
_AS: Final = re.compile(r"(?<=\bas )\w+(?=, not )")
"""An argument as `dpmiddleware.arguments` names it."""
_OPTIONS: Final = {"trusted_signers": "--trusted-signer", "auto_create_keys": "DPM_AUTO_CREATE_KEYS"}


@dataclass(frozen=True, slots=True)
class Naming:
    """Writes the names of settings as one place has them.

    write: from the name. reads_variables: whether the variable ``DPM_…`` counts there for what is not given.
    """

    write: Callable[[str], str]
    reads_variables: bool = False


ARGUMENT: Final = Naming(lambda name: f"{name}=")
VARIABLE: Final = Naming(lambda name: VARIABLE_PREFIX + name.upper(), reads_variables=True)
TABLE: Final = Naming(lambda name: f"data_protection.{name}")
FLASK: Final = Naming(lambda name: FLASK_PREFIX + name.upper())
DJANGO: Final = Naming(lambda name: f'DATA_PROTECTION["{name}"]')
OPTION: Final = Naming(lambda name: _OPTIONS.get(name) or f"--{name.replace('_', '-')}", reads_variables=True)


def option_or_variable(in_variables: Collection[str]) -> Naming:
    """For ``dpm``: the settings that come from variables are written so, all others as options."""
    return Naming(lambda name: (VARIABLE if name in in_variables else OPTION).write(name), reads_variables=True)


SESSION_COOKIE: Final = {
    "secure='always'": "SESSION_COOKIE_SECURE = True",
    "http_only=True": "SESSION_COOKIE_HTTPONLY = True",
    "name": "SESSION_COOKIE_NAME",
    "path": "SESSION_COOKIE_PATH",
    "domain": "SESSION_COOKIE_DOMAIN",
    "secure": "SESSION_COOKIE_SECURE",
    "http_only": "SESSION_COOKIE_HTTPONLY",
    "same_site": "SESSION_COOKIE_SAMESITE",
    "partitioned": "SESSION_COOKIE_PARTITIONED",
    "max_total": "SESSION_COOKIE_MAX_TOTAL",
}
"""Arguments of `CookieSettings`, as Flask and Django call them for sessions."""


@contextmanager
def written_as(names: Iterable[str], naming: Naming) -> Generator[None]:
    """In configuration errors that leave the block, these names of settings are written as ``naming`` writes them."""
    with renamed({} if naming is ARGUMENT else {name: naming.write(name) for name in names}):
        yield


@contextmanager
def renamed(names: Mapping[str, str]) -> Generator[None]:
    """In configuration errors that leave the block, arguments have other names; see `replaced`."""
    try:
        yield
    except ConfigurationError as error:
        if names:
            error.args = (replaced(str(error), names), *error.args[1:])
            error.hint = replaced(error.hint, names)
        raise


def replaced(text: str, names: Mapping[str, str]) -> str:
    """A text with ``name=``, and the ``name`` that `dpmiddleware.arguments` writes, replaced by other names.

    A name that contains a value (``http_only=True``) is replaced together with it.
    """
    for name in names:
        text = text.replace(name, names[name]) if "=" in name else text
    text = _ARGUMENT.sub(lambda found: _setting(names[found[1]], found[2]) if found[1] in names else found[0], text)
    return _AS.sub(lambda found: names.get(found[0], found[0]), text)


def _setting(name: str, value: str) -> str:
    """A setting, and what stands between it and its value if there is one."""
    return name + (value and (" " if name.startswith("--") else "="))
