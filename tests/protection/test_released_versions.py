"""What released versions wrote opens in this one. The vectors of a release are made once and never changed."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from dpmiddleware import DataProtection, ProtectedSerializer
from dpmiddleware.keys.interfaces import StoredDocument
from dpmiddleware.protection import base64url
from dpmiddleware.repositories.memory import MemoryKeyRepository

pytestmark = pytest.mark.usefixtures("both_ways")

VECTORS = sorted((Path(__file__).parents[1] / "vectors").glob("own-*.json"))
RINGS: list[Any] = [
    pytest.param(ring, id=f"{path.stem}, {ring['algorithm']}")
    for path in VECTORS
    for ring in json.loads(path.read_text("utf-8"))["rings"]
]


def opened(ring: dict[str, Any]) -> DataProtection:
    """The ring as it was stored."""
    documents = [StoredDocument(None, text.encode()) for text in ring["documents"]]
    return DataProtection(ring["application"], repository=MemoryKeyRepository(documents), auto_create_keys=False)


@pytest.mark.parametrize("ring", RINGS)
def test_story_20_payloads_of_each_released_version_open(ring: dict[str, Any]) -> None:
    """Story 20: under each of our own purposes."""
    dp = opened(ring)
    for case in ring["payloads"]:
        plain = dp.create_protector(*case["purposes"]).unprotect(base64url.decode(case["text"]))
        assert plain == base64.b64decode(case["plain"]), case["what"]


@pytest.mark.parametrize("ring", RINGS)
def test_story_20_values_with_a_time_of_each_released_version_open(ring: dict[str, Any]) -> None:
    """Story 20: time limits and serialized values."""
    dp = opened(ring)
    limited, serialized = ring["time_limited"], ring["serializer"]
    assert dp.create_protector(*limited["purposes"]).time_limited().unprotect(limited["text"]) == limited["plain"]
    assert ProtectedSerializer(dp, serialized["salt"]).loads(serialized["text"]) == serialized["value"]
