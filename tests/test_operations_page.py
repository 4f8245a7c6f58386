"""What the page on operations lists is what the package has: its events and gauges, its stores, its policy."""

from __future__ import annotations

import re
from dataclasses import fields
from datetime import timedelta
from pathlib import Path

from dpmiddleware import telemetry
from dpmiddleware.components import repository_from
from dpmiddleware.keys.policy import RotationPolicy
from dpmiddleware.repositories import REPOSITORIES

DOCS = Path(__file__).parents[1] / "docs"
OPERATIONS = (DOCS / "operations.md").read_text("utf-8")
STORES = (DOCS / "stores.md").read_text("utf-8")


def test_every_event_is_listed_with_its_level() -> None:
    """The table of `dpmiddleware.telemetry` is held to the code by its own test."""
    told = dict(re.findall(r"^([a-z_]+) +(INFO|WARNING|ERROR) ", telemetry.__doc__ or "", re.MULTILINE))
    listed = {
        name: level.upper()
        for names, level in re.findall(r"^\| (`[a-z_`, ]+`) \| (info|warning|error) \|", OPERATIONS, re.MULTILINE)
        for name in re.findall(r"[a-z_]+", names)
    }
    optional = {"key_blob_unsigned", "key_blob_signed_by_exchange_key"}  # of one key wrapper, told where that is
    assert {name: level for name, level in told.items() if name not in optional} == listed


def test_every_gauge_is_listed() -> None:
    source = Path(telemetry.__file__).read_text("utf-8")
    made = set(re.findall(r'^        "([a-z.]+)": "Seconds', source, re.MULTILINE))
    assert made == {"ring.age", "key.age", "rotation.due"}
    assert made == set(re.findall(r"^\| `dpmiddleware\.([a-z.]+)` \|", OPERATIONS, re.MULTILINE))


def test_the_policy_is_listed_with_its_defaults() -> None:
    listed = set(re.findall(r"\| `([a-z_]+)` \|$", OPERATIONS.partition("## Who makes keys")[0], re.MULTILINE))
    assert listed == {field.name for field in fields(RotationPolicy)}
    assert RotationPolicy().poll == timedelta(seconds=10)
    assert RotationPolicy().lifetime == timedelta(days=90)


def test_every_kind_of_store_is_on_its_page() -> None:
    for scheme in REPOSITORIES:
        assert re.search(rf"`{scheme}:", STORES), scheme


def test_the_urls_of_the_page_are_taken(tmp_path: Path) -> None:
    table = re.findall(
        r"`((?:redis|postgresql\+psycopg|azblob|s3|file|memory)[:+][^`…]*)`", STORES.partition("\n\n```")[0]
    )
    assert len(table) >= 6
    for url in table:
        assert repository_from(url).location
