"""Key and revocation documents changed in one way each: what ASP.NET Core makes of them, or what we decide."""

from __future__ import annotations

import base64
import time
from typing import Any

import pytest

from dpmiddleware.errors import DataProtectionError
from dpmiddleware.instants import Instant
from tests.interop.ours import OurRing, of_documents
from tests.interop.peer import Peer
from tests.interop.vectors import load

FILE = load("documents")
CASES: list[dict[str, Any]] = FILE["cases"]
THAT_DAY = "2026-11-22T14:48:00Z"

COUNTS_ONCE = "twice"
"""The same key given twice: ASP.NET Core refuses the whole ring, here it counts once."""
UNUSABLE_HERE = "empty master key"
"""ASP.NET Core calls the key usable and fails at every payload; here it is unusable."""


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Dates without a zone are local ones; they were recorded in UTC."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def named(*, but: tuple[str, ...] = ()) -> list[Any]:
    return [pytest.param(case, id=case["why"].replace(" ", "-")) for case in CASES if case["why"] not in but]


def ring_of(case: dict[str, Any]) -> OurRing:
    return of_documents(case["documents"], None, now=THAT_DAY)


def opens_canary(ours: OurRing) -> bool:
    try:
        ours.protector("p").unprotect(base64.b64decode(FILE["canary"]))
    except DataProtectionError:
        return False
    return True


@pytest.mark.parametrize("case", named(but=(COUNTS_ONCE,)))
def test_the_same_keys_are_read(case: dict[str, Any]) -> None:
    reading = ring_of(case).manager.read()
    if case["list_error"] is not None:
        assert reading.lost_revocation, "what ASP.NET Core refuses to list is a ring whose revocations are not known"
        return
    found = {
        str(key.id): (key.creation_date, key.activation_date, key.expiration_date, key.revocation is not None)
        for key in reading.keys
    }
    assert found == {
        key["key"]: (*(Instant.parse(key[name]) for name in ("created", "activation", "expiration")), key["revoked"])
        for key in case["keys"]
    }


@pytest.mark.parametrize("case", named(but=(COUNTS_ONCE, UNUSABLE_HERE)))
def test_the_same_keys_are_usable(case: dict[str, Any]) -> None:
    usable = {str(key.id): key.usable for key in ring_of(case).manager.read().keys}
    expected = {key["key"]: key["error"] is None for key in case["usable"] or ()}
    assert case["list_error"] is not None or usable == expected


@pytest.mark.parametrize("case", named(but=(COUNTS_ONCE,)))
def test_the_same_rings_open_the_canary(case: dict[str, Any]) -> None:
    assert opens_canary(ring_of(case)) is case["canary_opened"]


def one(why: str) -> dict[str, Any]:
    return next(case for case in CASES if case["why"] == why)


def test_a_key_given_twice_counts_once_where_asp_net_core_refuses_the_ring() -> None:
    case = one(COUNTS_ONCE)
    assert case["list_error"] is not None
    assert len(ring_of(case).manager.read().keys) == 1
    assert opens_canary(ring_of(case))


def test_an_empty_master_key_is_unusable_where_asp_net_core_fails_at_every_payload() -> None:
    case = one(UNUSABLE_HERE)
    assert case["usable"][0]["error"] is None
    assert [key.usable for key in ring_of(case).manager.read().keys] == [False]


NULL = "Microsoft.AspNetCore.DataProtection.XmlEncryption.NullXmlDecryptor"
NULL_WRAPPINGS = [
    pytest.param(f"{NULL}, Microsoft.AspNetCore.DataProtection, Version=10.0.0.0", True, id="with its assembly"),
    pytest.param(NULL, True, id="without its assembly"),
    pytest.param(f"{NULL}, System.Xml", False, id="of another assembly"),
    pytest.param("System.Object", False, id="another type"),
]


def null_wrapped(decryptor: str) -> str:
    """The good key as .NET's null encryptor writes it: its master key in clear, one element deeper."""
    before, opening, rest = one("as it was")["documents"][0].partition("<masterKey")
    content, closing, after = rest.partition("</masterKey>")
    around = f'<encryptedSecret decryptorType="{decryptor}" xmlns="http://schemas.asp.net/2015/03/dataProtection">'
    inner = f'{around}<unencryptedKey xmlns="">{opening}{content}{closing}</unencryptedKey></encryptedSecret>'
    return f"{before}{inner}{after}"


@pytest.mark.parametrize(("decryptor", "usable"), NULL_WRAPPINGS)
def test_a_wrapping_that_wraps_nothing_is_read_and_counts_as_none(decryptor: str, usable: bool) -> None:
    (key,) = of_documents([null_wrapped(decryptor)], None, now=THAT_DAY).manager.read().keys
    assert key.usable is usable
    assert key.wrapped is not usable


@pytest.mark.parametrize(("decryptor", "usable"), NULL_WRAPPINGS)
def test_asp_net_core_reads_the_same_wrappings(decryptor: str, usable: bool, peer: Peer) -> None:
    assert set(peer.documents([null_wrapped(decryptor)], autoGenerate=False).usable().values()) == {usable}


def test_a_descriptor_whose_assembly_is_not_named_is_read(peer: Peer) -> None:
    document = one("as it was")["documents"][0]
    start = document.index("Deserializer,") + len("Deserializer")
    shortened = document[:start] + document[document.index('"', start) :]
    assert opens_canary(of_documents([shortened], None, now=THAT_DAY))
    assert set(peer.documents([shortened], autoGenerate=False).usable().values()) == {True}
