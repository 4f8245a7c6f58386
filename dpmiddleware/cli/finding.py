"""`Finding`: one result of ``dpm check``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Finding"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One result of a check. code: for programs; it does not change between versions."""

    code: str
    level: Literal["problem", "note"]
    text: str
    hint: str = ""
