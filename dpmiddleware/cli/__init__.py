"""``dpm``: looks after key rings from a terminal.

A file a group of verbs. Each has ``add_to(verbs)``, which adds its parsers, and each parser names its function
``run(arguments, console) -> exit status``; `dpmiddleware.cli.main` lists the files.

Exit status: 0 done, 1 refused or failed, 2 wrong usage. No verb prints a user's plaintext or a master key.
"""

from __future__ import annotations

from dpmiddleware.cli.main import main

__all__ = ["main"]
