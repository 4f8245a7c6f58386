"""``python -m example_apps.django_shop``."""

from __future__ import annotations

import sys

from example_apps.django_shop.app import make_app
from example_apps.plants.command import run
from example_apps.plants.serving import serve_wsgi

sys.exit(run("Django", make_app, serve_wsgi))
