"""An attacker replaces a key with their own, and a signature prevents it. ``dpm demo key-substitution`` runs this.

The attack runs on a session key blob, as the documentation of CryptoAPI describes it, and on a key ring, where it makes
the attacker an administrator; each without and with a signature that is verified. ::

    archive.py       the web application: users sign in, administrators see more
    server.py        its server process and log
    visitor.py       a client of the application
    attacker.py      what the attacker has and does
    on_the_blob.py   the session key blob is replaced
    on_the_ring.py   a key is planted in the ring
    story.py         the four runs: what is expected and what happened
    command.py       the command line
    ../demo          shared with the other demonstration: server processes, the report
"""
