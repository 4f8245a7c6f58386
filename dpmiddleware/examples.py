"""Finds the examples that ``dpm demo`` runs: in the installed package, or beside it in a checkout."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Final

__all__ = ["load_example"]

_HERE: Final = Path(__file__).parent


def load_example(name: str, module: str) -> ModuleType:
    """Import a module of the example ``name`` (such as ``slot_swap``). ``ModuleNotFoundError`` if it is missing."""
    package = "dpmiddleware._examples" if (_HERE / "_examples" / name).is_dir() else "example_apps"
    return importlib.import_module(f"{package}.{name}.{module}")
