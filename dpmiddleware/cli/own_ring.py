"""Opens the ring of an application: its own object, or one that shares that object's parts.

Options that would name another ring are refused, because what is checked and changed here is what runs. Where a verb
needs another part (the target of ``copy``, the signer of an operator, the new wrapper of ``rewrap``), it works on a
second object that has this part and otherwise those of the application.
"""

from __future__ import annotations

import argparse
from typing import Any, Final

from dpmiddleware.cli.option_names import RING_OPTIONS
from dpmiddleware.cli.presence import refuse_default_place
from dpmiddleware.cli.usage import UsageError
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import ConfigurationError
from dpmiddleware.keys.policy import POLICY_SETTINGS
from dpmiddleware.keys.signature import TrustedSigners
from dpmiddleware.naming import OPTION

__all__ = ["open_own_ring"]

_OF_THE_RING: Final = tuple(name for name in RING_OPTIONS if name != "signer")


def open_own_ring(
    arguments: argparse.Namespace, *, auto_create_keys: bool, overrides: dict[str, Any]
) -> DataProtection:
    """See `dpmiddleware.cli.ring.open_ring`."""
    _refuse_options(arguments)
    given: DataProtection = arguments.command.application.data_protection
    if arguments.changes and "repository" not in given.stated:
        refuse_default_place()
    parts = {name: value for name in ("signer", "algorithm") if (value := getattr(arguments, name, None)) is not None}
    try:
        trusted = given.with_parts().manager.verifier
        opened = given.with_parts(auto_create_keys=auto_create_keys, **parts, **overrides)
        mine = opened.manager.verifier
    except ConfigurationError as error:
        raise UsageError(str(error), hint=error.hint) from error
    if isinstance(trusted, TrustedSigners) and isinstance(mine, TrustedSigners):
        _refuse_stranger(set(mine.key_ids) - set(trusted.key_ids))
    return opened


def _refuse_stranger(key_ids: set[str]) -> None:
    if key_ids:
        text = (
            f"the application does not trust the signer {min(key_ids)[:16]}…: it would refuse what this command writes"
        )
        raise UsageError(text, hint="add its public key to trusted_signers=, or use another signer")


def _refuse_options(arguments: argparse.Namespace) -> None:
    """`UsageError` for an option that would name another ring, or another policy."""
    names = [*_OF_THE_RING, *(() if arguments.states_policy else POLICY_SETTINGS)]
    names += [] if arguments.changes else ["signer"]
    for name in names:
        if getattr(arguments, name, None) is not None:
            option, setting = OPTION.write(name), arguments.command.application.data_protection.naming.write(name)
            raise UsageError(
                f"`{option}` is not used here: the ring and its settings are those of the application",
                hint=f"leave it out, or change {setting} in the application",
            )
