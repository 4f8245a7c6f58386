"""``dpm``: manages key rings from a terminal. ::

    main.py           runs the verb of a command line, turns errors into exit statuses
    usage.py          parses a command line, and names the nearest verb or option
    parsers.py        adds verbs and groups of verbs to the parser; the options that name a ring
    verbs.py          the verbs and groups of dpm, and the file of each
    command.py        the command that the verbs belong to: dpm, or that of an application
    application.py    dpm --app: finds an application and its ring
    ring.py           opens the ring that the options name, and reads it
    own_ring.py       opens the ring of an application
    presence.py       what a verb must find there, and where it may write
    policy_options.py adds the options that state a policy
    output.py         prints results, notes, errors and questions
    option_names.py   settings and verbs in messages, as the reader types them
    moments.py        dates and spans for people
    short_ids.py      short forms of key ids
    said_before.py    what was printed about a ring before
    whole_file.py     replaces a file as a whole
    keys/             dpm keys: one file per verb or pair of verbs
    inspection.py     dpm inspect
    check.py          dpm check
    check_against.py  dpm check --against
    finding.py        one result of a check
    application_cookies.py, django_findings.py  what an application and its settings add to a check
    server_limits.py  whether servers take the cookies of an application
    key_blob.py       dpm key-blob
    demo.py           dpm demo

The file of a verb has ``add_to(verbs)``, which adds the verb's parser, says what the verb needs and whether it changes
the ring, and names the function that runs it, ``run(arguments, console) -> exit status``. `dpmiddleware.cli.verbs` and
`dpmiddleware.cli.keys` list the files.

Exit status: 0 done, 1 refused, failed or nothing there, 2 wrong usage. No verb prints a user's plaintext, and none
prints a master key except ``dpm keys export --in-clear``.
"""

from __future__ import annotations

from dpmiddleware.cli.main import main

__all__ = ["main"]
