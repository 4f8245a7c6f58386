"""``dpm demo slot-swap``: two deployment slots are swapped, with one ring per slot and with a shared ring.
``dpm demo key-substitution``: an attacker replaces a key, without and with a signature that is verified.
"""

from __future__ import annotations

import argparse
from functools import partial

from dpmiddleware.cli.output import Console
from dpmiddleware.cli.parsers import Verbs
from dpmiddleware.cli.verbs import ABOUT
from dpmiddleware.examples import load_example

__all__ = ["add_to"]


def add_to(verbs: Verbs) -> None:
    """``demo slot-swap`` and ``demo key-substitution``."""
    demos = verbs.group("demo", ABOUT["demo"])
    text = "swap two deployment slots, and see whether users stay signed in"
    examples = ["dpm demo slot-swap", "dpm demo slot-swap --serve"]
    parser = demos.add("slot-swap", partial(_demonstrate, "slot_swap"), text, examples=examples, ring=False)
    parser.add_argument(
        "--serve", action="store_true", help="serve a page with buttons to sign in and to swap, until Ctrl+C"
    )
    parser.add_argument("--port", type=int, default=0, help="port of that page (default: any free port)")
    text = "replace a key as an attacker would, without and with a verified signature"
    run = partial(_demonstrate, "key_substitution")
    demos.add("key-substitution", run, text, examples=["dpm demo key-substitution"], ring=False, notes=False)


def _demonstrate(name: str, arguments: argparse.Namespace, console: Console) -> int:
    try:
        command = load_example(name, "command")
    except ModuleNotFoundError:
        text = f"the demonstration {name.replace('_', '-')} is not installed"
        console.error(text, "install the wheel, or run dpm from a checkout")
        return 1
    status: int = command.run(arguments)
    return status
