"""Where the examples are that `dpm demo` runs: inside the installed package, or beside it in a checkout."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Final

__all__ = ["load_example"]

_HERE: Final = Path(__file__).parent


def load_example(name: str, module: str) -> ModuleType:
    """The module ``module`` of the example ``name`` (``slot_swap``); ``ModuleNotFoundError`` where it is not there."""
    package = "dpmiddleware._examples" if (_HERE / "_examples" / name).is_dir() else "example_apps"
    return importlib.import_module(f"{package}.{name}.{module}")
