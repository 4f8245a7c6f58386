"""``flask data-protection`` and ``quart data-protection``: the verbs of ``dpm``, on the ring of the application.

The words are those of ``dpm``: ``flask --app shop data-protection keys list --wide``. Both frameworks find the command
by its entry point, in every environment in which this package is installed, so nothing is imported here before it runs.
"""

from __future__ import annotations

import shlex
import sys
from typing import Any

import click

__all__ = ["data_protection"]


@click.command(
    "data-protection",
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    short_help="Manages the key ring of the application.",
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def data_protection(context: click.Context, words: tuple[str, ...]) -> None:
    """Run a verb: ``data-protection --help`` lists them."""
    from dpmiddleware.cli.application import application_of
    from dpmiddleware.cli.command import Command
    from dpmiddleware.cli.main import main

    script: Any = context.obj  # ScriptInfo of Flask or Quart; the application is loaded only by a verb that needs it
    target = getattr(script, "app_import_path", None)
    words_before = [context.find_root().info_name or "flask", *([f"--app {shlex.quote(target)}"] if target else [])]
    command = Command(
        f"{' '.join(words_before)} data-protection", lambda: application_of(script.load_app(), "the application")
    )
    sys.exit(main(words, command))
