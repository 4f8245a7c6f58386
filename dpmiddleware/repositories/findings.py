"""`StoreFinding`: what a repository says of its own store, for ``dpm check``.

A repository that can judge its store has a method ``findings() -> list[StoreFinding]``. It reads, and changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["StoreFinding"]


@dataclass(frozen=True, slots=True)
class StoreFinding:
    """One finding. code: for programs; it does not change between versions. level: as in ``dpm check``."""

    code: str
    text: str
    hint: str = ""
    level: Literal["problem", "note"] = "problem"
