"""Tables fit 80 columns: short ids that are not ambiguous, and spans instead of dates."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpmiddleware.at_rest.x509 import X509KeyWrapper
from dpmiddleware.cli import main
from dpmiddleware.cli.moments import distance, outlook
from dpmiddleware.cli.short_ids import short_ids
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.instants import Instant
from dpmiddleware.keys.key import Key, Revocation
from dpmiddleware.repositories.files import FileKeyRepository
from tests.at_rest.test_x509 import CERTIFICATES
from tests.cli.places import make_signer
from tests.fakes import DAY, id_of, key_document, put, revocation_document

NOW = Instant.parse("2026-11-22T12:00:00Z")
ALIKE = [UUID(f"aaaaaaaa-{n:04x}-4000-8000-000000000000") for n in (1, 2)]


def dpm(folder: Path, *words: str) -> int:
    return main([*words, "--application", "shop", "--repository", str(folder)])


@given(st.sets(st.uuids(), min_size=1, max_size=50))
def test_a_short_id_is_the_beginning_of_one_key_only(keys: set[UUID]) -> None:
    for key, short in short_ids(keys).items():
        assert [other for other in keys if str(other).startswith(short)] == [key]
        assert len(short) == 8 or len([other for other in keys if str(other).startswith(short[:8])]) > 1


def test_ids_that_begin_alike_are_longer() -> None:
    other = UUID("bbbbbbbb-0001-4000-8000-000000000000")
    assert short_ids([*ALIKE, other]) == {
        ALIKE[0]: "aaaaaaaa-0001",
        ALIKE[1]: "aaaaaaaa-0002",
        other: "bbbbbbbb",
    }


def test_an_ambiguous_id_is_an_error_that_names_the_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(FileKeyRepository(tmp_path), *(key_document(datetime.now(timezone.utc), key_id=key) for key in ALIKE))
    for verb in (["keys", "show", "aaaaaaaa"], ["keys", "revoke", "aaaaaaaa", "--yes"]):
        assert dpm(tmp_path, *verb) == 1
        printed = capsys.readouterr().err
        assert f"2 keys in {tmp_path} begin with 'aaaaaaaa'" in printed
        assert all(str(key) in printed for key in ALIKE)
    assert dpm(tmp_path, "keys", "revoke", "aaaaaaaa-0002", "--yes") == 0
    revoked = [key.id for key in DataProtection("shop", repository=tmp_path).manager.read().keys if key.revocation]
    assert revoked == [ALIKE[1]]


@pytest.mark.parametrize(
    "words", [("keys", "list"), ("keys", "timeline"), ("keys", "timeline", "--all"), ("keys", "sign")]
)
def test_a_table_is_at_most_80_columns_wide(
    words: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    """Keys in every state, ids that begin alike, a document that is not used; written to a pipe."""
    folder = tmp_path_factory.mktemp("r")
    now = datetime.now(timezone.utc)
    documents = [key_document(now, created=-days * DAY, expires=(90 - days) * DAY) for days in (0, 89, 400, 5000)]
    documents += [key_document(now, created=-DAY, activated=DAY), *(key_document(now, key_id=key) for key in ALIKE)]
    documents.append(revocation_document(id_of(documents[2]), now, dated=-DAY))
    put(FileKeyRepository(folder), *documents)
    (folder / f"key-{ALIKE[0]}-2.xml").write_text("<key")
    make_signer(folder)
    more = ["--signer", f"ed25519://{folder}/signer.pem"] if "sign" in words else []
    dpm(folder, *words, *more)
    printed = "".join(capsys.readouterr()).splitlines()
    assert len(printed) > 8
    assert any("active, default" in line for line in printed) or "sign" in words
    wide = [line for line in printed if len(line) > 80 and not line.startswith("dpm: ")]
    assert wide == []


def test_what_is_wrong_with_a_certificate_is_shown_to_its_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The thumbprint and the rest of the sentence were cut off at 120 characters, and the hint named no option."""
    put(
        FileKeyRepository(tmp_path),
        key_document(datetime.now(timezone.utc), wrapper=X509KeyWrapper(CERTIFICATES / "first.pem")),
    )
    for verb in (["keys", "list"], ["check"]):
        dpm(tmp_path, *verb, "--key-wrapper", f"x509://{CERTIFICATES / 'second.pem'}")
        printed = "".join(capsys.readouterr())
        assert "which is not configured" in printed
        assert "hint: add that certificate, with its private key, to --key-wrapper" in printed


SPANS = {
    0: "in less than a minute",
    59: "in less than a minute",
    60: "in 1 minute",
    7_199: "in 119 minutes",
    7_200: "in 2 hours",
    172_799: "in 47 hours",
    172_800: "in 2 days",
    89.9 * 86_400: "in 89 days",
    10_000 * 86_400: "in 10,000 days",
    -1: "just now",
    -60: "1 minute ago",
    -3 * 86_400: "3 days ago",
}


@pytest.mark.parametrize("seconds", SPANS)
def test_a_distance_has_two_of_its_unit(seconds: float) -> None:
    assert distance(NOW + timedelta(seconds=seconds), NOW) == SPANS[seconds]


def key(activated: float, expires: float, revoked: Instant | None = None, *, usable: bool = True) -> Key:
    revocation = None if revoked is None else Revocation(UUID(int=1), revoked, "")
    encryptor = DataProtection("shop", repository="memory:").current().keys[0].encryptor if usable else None
    return Key(UUID(int=1), NOW - DAY, NOW + activated * DAY, NOW + expires * DAY, encryptor, "", revocation)


@pytest.mark.parametrize(
    ("one", "said"),
    [
        pytest.param(key(-1, 89.5), "expires in 89 days", id="active"),
        pytest.param(key(-1, 89.5, usable=False), "expires in 89 days", id="unusable"),
        pytest.param(key(1.5, 89), "active in 36 hours", id="created"),
        pytest.param(key(-9, -3), "expired 3 days ago", id="expired"),
        pytest.param(key(-9, 3, NOW - 2 * DAY), "revoked 2 days ago", id="revoked"),
        pytest.param(key(-9, 3, NOW + DAY), "revoked", id="revoked with a date in the future"),
    ],
)
def test_a_row_says_what_happens_next_or_happened_last(one: Key, said: str) -> None:
    assert outlook(one, NOW) == said
