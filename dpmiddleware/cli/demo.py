"""``dpm demo slot-swap``: the swap of two deployment slots, with rings of their own and with a shared one.
``dpm demo key-substitution``: an intruder's key in the place of ours, without and with a signature that is checked.
"""

from __future__ import annotations

import argparse
from functools import partial

from dpmiddleware.cli.output import Console
from dpmiddleware.cli.parsers import Verbs
from dpmiddleware.examples import load_example

__all__ = ["add_to"]


def add_to(verbs: Verbs) -> None:
    """``demo slot-swap`` and ``demo key-substitution``, with the examples' own options."""
    demos = verbs.group("demo", "see it happen")
    text = "swap two slots: who is logged out, and who is not"
    parser = demos.add("slot-swap", partial(_demonstrate, "slot_swap"), text, ring=False)
    parser.add_argument("--serve", action="store_true", help="keep running, with a page in the browser")
    parser.add_argument("--port", type=int, default=0, help="of that page; any that is free by default")
    text = "put an intruder's key in the place of ours: what he gets, and what a signature changes"
    demos.add("key-substitution", partial(_demonstrate, "key_substitution"), text, ring=False, notes=False)


def _demonstrate(name: str, arguments: argparse.Namespace, console: Console) -> int:
    try:
        command = load_example(name, "command")
    except ModuleNotFoundError:
        text = f"the {name.replace('_', ' ')} is not part of this installation"
        console.error(text, "it comes with the wheel and with a checkout")
        return 1
    status: int = command.run(arguments)
    return status
