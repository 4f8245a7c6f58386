"""A key from the year 1 or 9999 stops neither the ring nor the operator."""

from __future__ import annotations

import itertools
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from dpmiddleware.cli import main
from dpmiddleware.crypto.encryptors import Algorithm
from dpmiddleware.crypto.secret import Secret
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.instants import Instant
from dpmiddleware.keys import document
from dpmiddleware.repositories.files import FileKeyRepository

FIRST = Instant.parse("0001-01-01T00:00:00Z")
LAST = Instant.parse("9999-12-31T23:59:59.9999999Z")
MIDDLE = Instant.parse("2026-11-22T12:00:00Z")
ODD_DATES = [dates for dates in itertools.product((FIRST, MIDDLE, LAST), repeat=3) if dates != (MIDDLE,) * 3]


def test_time_stops_at_both_ends() -> None:
    assert FIRST - timedelta(days=1) == FIRST
    assert LAST + timedelta(days=1) == LAST.next() == LAST


def plant(folder: Path, dates: tuple[Instant, Instant, Instant], algorithm: bytes = b"AES_256_GCM") -> None:
    creation, activation, expiration = dates
    element = document.new_key(
        UUID(int=7),
        creation=creation,
        activation=activation,
        expiration=expiration,
        algorithm=Algorithm.AES_256_GCM,
        secret=Secret.random(),
    )
    folder.mkdir(exist_ok=True)
    (folder / "key-odd.xml").write_bytes(document.dump(element).data.replace(b"AES_256_GCM", algorithm))


@pytest.mark.parametrize("dates", ODD_DATES, ids=lambda dates: "-".join(str(date)[:4] for date in dates))
@pytest.mark.parametrize("algorithm", [b"AES_256_GCM", b"AES_512_GCM"], ids=["usable", "unusable"])
def test_a_key_with_odd_dates_stops_nothing(
    dates: tuple[Instant, Instant, Instant], algorithm: bytes, tmp_path: Path
) -> None:
    dp = DataProtection("shop", repository=FileKeyRepository(tmp_path / "keys"))
    payload = dp.create_protector("p").protect("3 apples")
    plant(tmp_path / "keys", dates, algorithm)
    fresh = DataProtection("shop", repository=FileKeyRepository(tmp_path / "keys"))
    assert fresh.create_protector("p").unprotect(payload) == "3 apples"
    where = ["--application", "shop", "--repository", str(tmp_path / "keys")]
    assert main(["keys", "list", *where]) == 0
    assert main(["check", *where]) == 1
    assert main(["keys", "revoke-all", "--yes", *where]) in {0, 1}


@pytest.mark.parametrize("dates", ODD_DATES, ids=lambda dates: "-".join(str(date)[:4] for date in dates))
def test_a_key_with_odd_dates_alone_is_used_or_replaced(
    dates: tuple[Instant, Instant, Instant], tmp_path: Path
) -> None:
    plant(tmp_path / "keys", dates)
    protector = DataProtection("shop", repository=FileKeyRepository(tmp_path / "keys")).create_protector("p")
    assert protector.unprotect(protector.protect("3 apples")) == "3 apples"
