"""Changes the settings of a Django project that is set up later in this process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import django
from django.conf import settings

__all__ = ["change_at_setup"]


def change_at_setup(change: Callable[[Any], None]) -> None:
    """Call ``change(settings)`` when Django is set up: the project's settings are known, no application is loaded."""
    set_up = django.setup

    def changed_setup(set_prefix: bool = True) -> None:
        change(settings)
        set_up(set_prefix)

    django.setup = changed_setup
