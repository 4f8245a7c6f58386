"""Starts Django's ``runtests.py`` (first argument) with ours in the place of its sessions and signing functions."""

from __future__ import annotations

import runpy
import sys

import django.contrib.sessions.backends.signed_cookies as engine
from django.contrib.sessions import middleware
from django.core import signing


def replace() -> None:
    """Before the test modules are imported, which take these names from where they are."""
    from dpmiddleware.django import sessions
    from dpmiddleware.django import signing as ours

    engine.SessionStore = sessions.SessionStore  # type: ignore[misc]  # the point
    middleware.SessionMiddleware = sessions.SessionMiddleware  # type: ignore[misc]  # the point
    signing.dumps = ours.dumps  # type: ignore[assignment]  # salts are text
    signing.loads = ours.loads  # type: ignore[assignment]  # salts are text


replace()
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
