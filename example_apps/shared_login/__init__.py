"""One sign-in for applications in Flask, Starlette and, optionally, ASP.NET Core on one host.

``python -m example_apps.shared_login``. Each application has its own `DataProtection`. They share a folder of keys, the
application name and the cookie. ::

    flask_app.py       /flask/…       sign in, sign out, who am I, a private page
    starlette_app.py   /starlette/…   the same
    aspnet.py          /login, /me …  a process with ASP.NET Core
    page.py            the page of the first two
    farm.py            all of them, with a reverse proxy that gives them one host
"""

from __future__ import annotations

APPLICATION = "shared-login"
"""The application name. It is part of every purpose, so all members need the same."""
