"""Libraries that only one adapter needs, and that an extra of this package installs."""

from __future__ import annotations

import importlib
from typing import Any

from dpmiddleware.errors import MissingExtraError

__all__ = ["import_extra"]


def import_extra(library: str, extra: str, needed_for: str) -> Any:
    """Import a module. `MissingExtraError` if it is not installed: ``needed_for`` needs it, ``extra`` installs it."""
    try:
        return importlib.import_module(library)
    except ImportError:
        raise MissingExtraError(extra, needed_for) from None
