"""A web application in two deployment slots that are swapped while a user is signed in.

``dpm demo slot-swap`` runs this with two server processes, each with the environment of an App Service slot, a reverse
proxy that swaps them, and a client with a cookie jar. ::

    shop.py      the application, with the middleware that protects its session; page.py has its page
    slot.py      one slot: its folder, its environment, its server process and log
    front.py     the reverse proxy: maps *production* to one of the slots
    visitor.py   a client with a cookie jar
    story.py     the four runs: what the documentation says and what happened
    serve.py     the same by hand, in the browser: the control room of two such farms
    room_page.py its page, which works without room.js; verdict.py: what it says; on_behalf.py: how it asks the shops
    look.py      stylesheets, and how both pages name a key
    command.py   the command line
    ../demo      shared with the other demonstration: server processes, the report
"""

from __future__ import annotations

from .command import add_arguments, main, run

__all__ = ["add_arguments", "main", "run"]
