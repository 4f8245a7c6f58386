"""Remembers what this account has been told about a ring, so that a standing note is printed only once per ring.

One empty file per ring and note, in ``$XDG_STATE_HOME/dpmiddleware`` (by default ``~/.local/state``, on Windows
``%LOCALAPPDATA%``). It is about the reader, not about the ring, so it is not kept in the ring's store.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from dpmiddleware.windows import is_windows

__all__ = ["is_news"]


def is_news(note: str, location: str, ring: str) -> bool:
    """Whether this note has not been printed for this ring yet. It has been, the next time."""
    about = hashlib.sha256(repr((note, location, ring)).encode()).hexdigest()[:32]
    try:
        folder = _state_folder()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / f"said-{about}").touch(mode=0o600, exist_ok=False)
    except FileExistsError:
        return False
    except (OSError, RuntimeError):  # no home folder, or one that is read-only: better twice than never
        return True
    return True


def _state_folder() -> Path:
    base = os.environ.get("LOCALAPPDATA" if is_windows() else "XDG_STATE_HOME", "")
    return (Path(base) if base else Path.home() / ".local" / "state") / "dpmiddleware"
