"""One sign-in for applications in Flask, Starlette and, where the program is present, ASP.NET Core, behind one host.

``python -m example_apps.shared_login``. Each application has a `DataProtection` of its own; what they share is a
folder of keys, the application name and the cookie. The walk::

    flask_app.py       /flask/…       sign in, sign out, who am I, a private page
    starlette_app.py   /starlette/…   the same
    aspnet.py          /login, /me …  an ASP.NET Core as a process
    page.py            what the first two show
    farm.py            all of them, and the front that gives them one host
"""

from __future__ import annotations

APPLICATION = "shared-login"
"""The application name: part of every purpose, so the same in all members."""
