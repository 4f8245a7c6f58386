"""The settings of a `DataProtection` as plain values: from the environment, from a file, from a framework.

A name is the same everywhere, but for how it is written (`dpmiddleware.naming`). Unknown names are refused.
docs/configuration.md lists them.
"""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dpmiddleware.errors import ConfigurationError
from dpmiddleware.keys.policy import POLICY_SETTINGS
from dpmiddleware.names import nearest, refuse_unknown, refuse_unknown_variables
from dpmiddleware.naming import VARIABLE
from dpmiddleware.printable import printable
from dpmiddleware.secret_sources import may_be_secret, shown_value

if TYPE_CHECKING:
    from dpmiddleware.crypto.encryptors import Algorithm

__all__ = ["SETTINGS", "arguments_from", "is_in_environment", "settings_in_environment", "settings_in_file"]

SETTINGS: Final = (
    "application",
    "repository",
    "key_wrapper",
    "signer",
    "trusted_signers",
    "ring",
    "algorithm",
    "auto_create_keys",
    *POLICY_SETTINGS,
)
"""The names of all settings."""

_NAME_HINT: Final = 'set a name such as "shop", the same in the whole farm'
_TRUTHS: Final = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def arguments_from(settings: Mapping[str, Any], parts: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `DataProtection` for settings and for further ``parts``. `ConfigurationError`."""
    refuse_unknown(settings, SETTINGS)
    values = {name: value for name, value in settings.items() if value is not None or name == "application"}
    twice = sorted(values.keys() & parts.keys())
    if twice:
        raise ConfigurationError(
            f"{twice[0]} is given in the settings and in the call", hint=f"leave out one of the two: {twice[0]}="
        )
    if "application" not in {**values, **parts}:
        raise ConfigurationError("application= is not set: there is no application name", hint=_NAME_HINT)
    algorithm = values.get("algorithm")
    if isinstance(algorithm, str):
        values["algorithm"] = _algorithm_called(algorithm)
    return {**values, **parts}


def settings_in_environment(variables: Mapping[str, str]) -> dict[str, Any]:
    """What the variables ``DPM_…`` say; an empty one is the same as none."""
    refuse_unknown_variables(variables, SETTINGS)
    values: dict[str, Any] = {name: text for name in SETTINGS if (text := variables.get(VARIABLE.write(name)))}
    create = values.get("auto_create_keys")
    if create is not None:
        values["auto_create_keys"] = _TRUTHS.get(create.strip().lower())
        if values["auto_create_keys"] is None:
            problem = f"auto_create_keys={shown_value(create)} is neither true nor false"
            raise ConfigurationError(problem, hint="write true or false")
    return values


def is_in_environment(variables: Mapping[str, str], *, but: frozenset[str] = frozenset()) -> list[str]:
    """The settings, ``but`` these, that variables ``DPM_…`` state."""
    return [name for name in SETTINGS if name not in but and variables.get(VARIABLE.write(name))]


def settings_in_file(path: PathLike[str] | str) -> Mapping[str, Any]:
    """The table ``[data_protection]`` of a TOML file."""
    import tomllib  # most applications have no such file

    try:
        with Path(path).open("rb") as file:
            settings = tomllib.load(file)
    except (OSError, tomllib.TOMLDecodeError) as error:
        hint = "check the path and the syntax"
        raise ConfigurationError(f"{printable(path)} cannot be read: {error}", hint=hint) from error
    table = settings.get("data_protection")
    if not isinstance(table, dict):
        hint = "add it; its names are those of the constructor"
        raise ConfigurationError(f"{printable(path)} has no table [data_protection]", hint=hint)
    return table


def _algorithm_called(name: str) -> Algorithm:
    from dpmiddleware.crypto.encryptors import Algorithm  # the names of settings are used without it

    try:
        return Algorithm[name.upper()]
    except KeyError:
        hint = nearest(name, Algorithm.__members__)
        named = "" if may_be_secret(name) else f"{printable(name)!r}"
        raise ConfigurationError(f"algorithm={named} is not the name of an algorithm", hint=hint) from None
