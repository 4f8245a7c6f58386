"""``python -m example_apps.flask_shop``."""

from __future__ import annotations

import sys

from example_apps.flask_shop.app import make_app
from example_apps.plants.command import run
from example_apps.plants.serving import serve_wsgi

sys.exit(run("Flask", make_app, serve_wsgi))
