"""Names of settings and verbs in messages, as the reader types them.

The package's errors name the arguments of its constructors: for a person at a terminal, ``key_wrapper=`` becomes
``--key-wrapper``. Messages of ``dpm`` name its options, variables and verbs: where an application's own ring is used
they become the settings of that application, and the verbs of its command. ::

    use --key-wrapper or DPM_KEY_WRAPPER         set DATA_PROTECTION["key_wrapper"]
    `dpm keys list`                              `manage.py dataprotection keys list`
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from dpmiddleware.naming import OPTION, VARIABLE, Naming
from dpmiddleware.settings import SETTINGS

__all__ = ["RING_OPTIONS", "as_options", "as_own"]

RING_OPTIONS: Final = ("application", "repository", "key_wrapper", "signer", "trusted_signers", "ring")
"""The settings that name a ring and say how it is used; each verb that works on a ring has an option for them."""
_OF_SETTINGS: Final = {
    **{name: OPTION.write(name) for name in SETTINGS},
    "auto_create_keys": "DPM_AUTO_CREATE_KEYS=",
}
_SETTING: Final = re.compile(
    rf"(?<![\w&?-])({'|'.join(_OF_SETTINGS)})=(?P<value>['\"(]|True\b|False\b|(?=[\s,;:.)]|$))"
)
"""A setting without a value, or with one in quotes. The fields of log lines (``ring=shop``) stay as they are."""
_NAMES: Final = {OPTION.write(name): name for name in SETTINGS} | {VARIABLE.write(name): name for name in SETTINGS}
_OPTION: Final = "|".join(OPTION.write(name) for name in SETTINGS if OPTION.write(name).startswith("--"))
_ALONE: Final = "|".join(map(OPTION.write, RING_OPTIONS))
_OPTION_OR_VARIABLE: Final = re.compile(
    rf"(?P<use>\buse )?(?P<name>(?:{_OPTION})(?=(?: or | and | \()DPM_)(?: (?:or|and) DPM_\w+| \(DPM_\w+\))"
    rf"|(?:{_ALONE})(?![\w-])|\bDPM_AUTO_CREATE_KEYS\b(?!=))"
)
"""An option and its variable, or one of them. Options of a policy do not count alone: verbs have them, too."""


def as_options(text: str) -> str:
    """``text`` with settings written as options."""
    return _SETTING.sub(_as_option, text)


def _as_option(match: re.Match[str]) -> str:
    option, value = _OF_SETTINGS[match[1]], match["value"]
    return f"{option}{value.lower()}" if option.endswith("=") else f"{option} {value}".rstrip()


def as_own(text: str, prog: str, naming: Naming) -> str:
    """``text`` with settings written as ``naming`` writes them, and verbs as those of ``prog``."""
    words = text.split("`")
    words[::2] = [_as_settings(word, naming.write) for word in words[::2]]
    for number, word in enumerate(words):
        if number % 2 and word.startswith("dpm ") and not word.startswith(prog):
            words[number] = prog + word.removeprefix("dpm")
    return "`".join(words)


def _as_settings(text: str, write: Callable[[str], str]) -> str:
    def option(match: re.Match[str]) -> str:
        return f"{'set ' if match['use'] else ''}{write(_NAMES[re.split(r'[ (]', match['name'])[0]])}"

    def argument(match: re.Match[str]) -> str:
        name, value = write(match[1]), match["value"]
        return f"{name.removesuffix('=')}={value}" if value else name

    return _OPTION_OR_VARIABLE.sub(option, _SETTING.sub(argument, text))
