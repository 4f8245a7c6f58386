"""Short forms of key ids for tables: the beginning of an id that no other key of the ring has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Final
from uuid import UUID

__all__ = ["SHORT", "short_ids"]

SHORT: Final = 8
"""Characters of a short id; it has more where another key of the ring begins with the same."""


def short_ids(keys: Iterable[UUID]) -> Mapping[UUID, str]:
    """The short form of each id. In their order, an id has most in common with its neighbours."""
    by_text = {str(key_id): key_id for key_id in keys}
    ids = sorted(by_text)
    common = [_in_common(*pair) for pair in pairwise(["", *ids, ""])]
    lengths = (max(SHORT, before + 1, after + 1) for before, after in pairwise(common))
    return {by_text[one]: one[:length] for one, length in zip(ids, lengths, strict=True)}


def _in_common(one: str, other: str) -> int:
    if one[:SHORT] != other[:SHORT]:  # as most do: a short id is long enough for that
        return 0
    differing = (place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    return next(differing, min(len(one), len(other)))
