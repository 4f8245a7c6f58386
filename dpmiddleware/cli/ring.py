"""Which ring a command is about: options, else the ``DPM_*`` variables, else where keys live when nobody said."""

from __future__ import annotations

import argparse
import os
from typing import Any, Final

from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import ConfigurationError

__all__ = ["UsageError", "open_ring", "ring_options", "setting"]

_SETTINGS: Final = ("application", "repository", "key_wrapper", "signer", "trusted_signers", "ring", "algorithm")


class UsageError(ConfigurationError):
    """The command line, or a ``DPM_*`` variable, asks for something that cannot be: exit status 2."""


def ring_options() -> argparse.ArgumentParser:
    """The options that name a ring, for a verb's parser to inherit."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    group = parser.add_argument_group("which ring (else the variables DPM_APPLICATION, DPM_REPOSITORY …)")
    group.add_argument("--application", metavar="NAME", help="the application name of the farm")
    group.add_argument("--repository", metavar="URL", help="where the keys are: a folder, redis://…, postgresql://…")
    group.add_argument("--key-wrapper", metavar="URL", action="append", help="what keys are wrapped with; repeatable")
    group.add_argument("--signer", metavar="URL", help="who signs what this command writes: ed25519:///signer.pem")
    group.add_argument(
        "--trusted-signer",
        metavar="PATH",
        action="append",
        dest="trusted_signers",
        help="whose documents count; repeatable",
    )
    group.add_argument("--ring", metavar="NAME", help="the ring's name, where it is not the application's")
    return parser


def open_ring(arguments: argparse.Namespace, *, auto_create_keys: bool = True, **instead: Any) -> DataProtection:
    """The ring that the options name; the store is not asked yet. `UsageError` where they name none that can be.

    instead: settings that count in place of those that were named (another ``repository`` for the same ring).
    """
    settings = {name: instead.get(name) or setting(arguments, name) for name in _SETTINGS}
    wrapped = settings["key_wrapper"] is not None and settings["key_wrapper"].split() != ["plain:"]
    if wrapped and not (settings["application"] or settings["ring"]):
        raise UsageError(
            "a wrapped ring needs its name: keys are bound to it", hint="--application NAME, or --ring NAME"
        )
    try:
        dp = DataProtection.from_config(settings, auto_create_keys=auto_create_keys)
        _ = dp.manager
    except ConfigurationError as error:
        raise UsageError(str(error), hint=error.hint) from error
    return dp


def setting(arguments: argparse.Namespace, name: str) -> Any:
    """An option, else its variable, else ``None``; several values of an option are separated by white space."""
    given: str | list[str] | None = getattr(arguments, name, None)
    if isinstance(given, list):
        given = " ".join(given)
    return given if given is not None else os.environ.get(f"DPM_{name.upper()}") or None
