"""``manage.py dataprotection``: the verbs of ``dpm``, on the ring of this project.

The words are those of ``dpm``: ``manage.py dataprotection keys list --wide``. Django's own options (``--settings``,
``--pythonpath``, ``--traceback`` and others) can be among them. The checks of the project do not run first: the verb
``check`` reports what they say of data protection, and the other verbs are needed where a setting is wrong.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, handle_default_options

from dpmiddleware.cli import command
from dpmiddleware.cli.django_findings import findings_of_settings
from dpmiddleware.cli.main import main
from dpmiddleware.django.apps import get_data_protection

__all__ = ["Command"]

_OF_DJANGO: Final = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
for _name in ("--settings", "--pythonpath"):
    _OF_DJANGO.add_argument(_name)
for _name in ("--traceback", "--no-color", "--force-color", "--skip-checks"):
    _OF_DJANGO.add_argument(_name, action="store_true")
_OF_DJANGO.add_argument("-v", "--verbosity")


class Command(BaseCommand):
    """Runs a verb. The exit status is the verb's; ``call_command`` raises `CommandError` with it as ``returncode``."""

    help = "Manages the key ring of this project: `dataprotection --help` lists the verbs."
    requires_system_checks = ()
    _prog = "manage.py dataprotection"

    def run_from_argv(self, argv: list[str]) -> None:
        """Run a command line. Our verbs have ``--help``, so Django does not get it."""
        options, words = _OF_DJANGO.parse_known_args(argv[2:])
        handle_default_options(options)
        program = os.path.basename(argv[0])  # noqa: PTH119 (as Django does)
        self._prog = f"{'python -m django' if program == '__main__.py' else program} {argv[1]}"
        super().run_from_argv([*argv[:2], "--", *words])

    def add_arguments(self, parser: Any) -> None:
        """All words are those of a verb."""
        parser.add_argument("words", nargs=argparse.REMAINDER, help="as after dpm, for example: keys list")

    def handle(self, *args: object, **options: Any) -> None:
        """Run the verb."""
        words = [word for number, word in enumerate(options["words"]) if number or word != "--"]
        ours = command.Command(self._prog, _project)
        status = main(words, ours, out=options.get("stdout"), messages=options.get("stderr"))
        if status and getattr(self, "_called_from_command_line", False):
            sys.exit(status)
        if status:
            raise CommandError(f"{self._prog} {' '.join(words[:2])}: exit status {status}", returncode=status)


def _project() -> command.Application:
    return command.Application(get_data_protection(), findings_of_settings)
