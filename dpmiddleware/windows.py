"""What only Windows has: its libraries and its registry, and whether this is Windows.

Type checkers on other systems know neither ``ctypes.WinDLL`` nor ``winreg``; everything here is typed as ``Any``.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

__all__ = ["is_windows", "last_error", "library", "registry"]


def is_windows() -> bool:
    """Whether this is Windows. A function, so that type checkers on other systems check what follows, too."""
    return sys.platform == "win32"


def library(name: str) -> Any:
    """Load a system library; `last_error` returns the error of its last call."""
    import ctypes

    windows: Any = ctypes
    return windows.WinDLL(name, use_last_error=True)


def last_error() -> int:
    """Return the Windows error code of the last call into a `library`, in this thread."""
    import ctypes

    windows: Any = ctypes
    return int(windows.get_last_error())


def registry() -> Any:
    """Import the standard library's ``winreg``."""
    return importlib.import_module("winreg")
