"""``python -m example_apps.starlette_shop``."""

from __future__ import annotations

import sys

from example_apps.plants.command import run
from example_apps.plants.serving import serve_asgi
from example_apps.starlette_shop.app import make_app

sys.exit(run("Starlette", make_app, serve_asgi))
