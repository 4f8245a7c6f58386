"""A web application with a sign-in, run in two deployment slots that are swapped while somebody is signed in.

Started by ``dpm demo slot-swap``. Everything is real: two server processes, each with the environment that an App
Service slot has, a front that swaps them, a client with a cookie jar. The walk::

    shop.py      the application, and the middleware that protects its session; page.py is what it shows
    slot.py      one slot: its folder, its environment, its server process and log
    front.py     the load balancer: the name *production* leads to one slot, and can be moved to the other
    visitor.py   somebody with a browser: a cookie jar that signs in and comes back
    story.py     the four runs: what the documentation says of each, what happened
    serve.py     the same by hand, in the browser
    command.py   the command line
    ../demo      what both demonstrations share: server processes, the report at the end
"""

from __future__ import annotations

from .command import add_arguments, main, run

__all__ = ["add_arguments", "main", "run"]
