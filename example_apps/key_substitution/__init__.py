"""An intruder puts a key of his own in the place of ours: the attack, and the signature that ends it. Run for real.

Told twice, without and with a signature that somebody checks. Once on a session key blob, as CryptoAPI's documentation
tells it; once on a key ring, where it makes the intruder an administrator. Started by ``dpm demo key-substitution``.
The walk::

    archive.py       the web application: people sign in, administrators see more
    server.py        its server process, its settings, its log
    visitor.py       somebody with a browser
    intruder.py      all that the intruder has and does: the disk, public keys, and this package
    on_the_blob.py   the session key blob is replaced
    on_the_ring.py   a key is planted in the ring
    story.py         the four runs: what is to be expected of each, what happened
    command.py       the command line
    ../demo          what both demonstrations share: server processes, the report at the end
"""
