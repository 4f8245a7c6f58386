"""``dpm``: manages key rings from a terminal. ::

    main.py           parses the command line, runs the verb, turns errors into exit statuses
    parsers.py        adds verbs and groups of verbs to the parser; the options that name a ring
    ring.py           opens the ring that the options name, and reads it
    output.py         prints results, notes, errors and questions
    keys/             dpm keys: one file per verb or pair of verbs
    inspection.py     dpm inspect
    check.py          dpm check
    check_against.py  dpm check --against
    key_blob.py       dpm key-blob
    demo.py           dpm demo

The file of a verb has ``add_to(verbs)``, which adds the verb's parser and names the function that runs it,
``run(arguments, console) -> exit status``. `dpmiddleware.cli.main` and `dpmiddleware.cli.keys` list the files.

Exit status: 0 done, 1 refused or failed, 2 wrong usage. No verb prints a user's plaintext, and none prints a master key
except ``dpm keys export --in-clear``.
"""

from __future__ import annotations

from dpmiddleware.cli.main import main

__all__ = ["main"]
