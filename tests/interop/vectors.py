"""Reads the files of ``tests/vectors``; see the README there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = ["VECTORS", "load"]

VECTORS = Path(__file__).resolve().parent.parent / "vectors"


def load(name: str) -> Any:
    """The content of ``tests/vectors/{name}.json``."""
    return json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))
