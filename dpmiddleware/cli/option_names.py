"""Names of settings in messages, as the options of ``dpm``: ``key_wrapper=`` becomes ``--key-wrapper``.

The package's errors name the arguments of its constructors. A person at a terminal types options.
"""

from __future__ import annotations

import re
from typing import Final

from dpmiddleware.naming import OPTION
from dpmiddleware.settings import SETTINGS

__all__ = ["as_options"]

_OF_SETTINGS: Final = {
    **{name: OPTION.write(name) for name in SETTINGS},
    "auto_create_keys": "DPM_AUTO_CREATE_KEYS=",
}
_SETTING: Final = re.compile(
    rf"(?<![\w&?-])({'|'.join(_OF_SETTINGS)})=(?P<value>['\"(]|True\b|False\b|(?=[\s,;:.)]|$))"
)
"""A setting without a value, or with one in quotes. The fields of log lines (``ring=shop``) stay as they are."""


def as_options(text: str) -> str:
    """``text`` with settings written as options."""
    return _SETTING.sub(_as_option, text)


def _as_option(match: re.Match[str]) -> str:
    option, value = _OF_SETTINGS[match[1]], match["value"]
    return f"{option}{value.lower()}" if option.endswith("=") else f"{option} {value}".rstrip()
