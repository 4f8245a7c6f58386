"""Configuration URLs of local files, as a user would write them on this system."""

from __future__ import annotations

from pathlib import Path

__all__ = ["url_of"]


def url_of(scheme: str, path: Path) -> str:
    """``scheme:///absolute/path``, on Windows ``scheme:///C:/absolute/path``."""
    return path.as_uri().replace("file", scheme, 1)
