"""``dpm demo slot-swap``: the swap of two deployment slots, with rings of their own and with a shared one."""

from __future__ import annotations

import argparse

from dpmiddleware.cli.output import Console
from dpmiddleware.cli.verbs import Verbs
from dpmiddleware.examples import load_example

__all__ = ["add_to"]


def add_to(verbs: Verbs) -> None:
    """``demo slot-swap``, with the example's own options."""
    demos = verbs.group("demo", "see it happen")
    parser = demos.add("slot-swap", _slot_swap, "swap two slots: who is logged out, and who is not", ring=False)
    parser.add_argument("--serve", action="store_true", help="keep running, with a page in the browser")
    parser.add_argument("--port", type=int, default=0, help="of that page; any that is free by default")


def _slot_swap(arguments: argparse.Namespace, console: Console) -> int:
    try:
        command = load_example("slot_swap", "command")
    except ModuleNotFoundError:
        console.error("the slot swap is not part of this installation", "it comes with the wheel and with a checkout")
        return 1
    status: int = command.run(arguments)
    return status
