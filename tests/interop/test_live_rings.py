"""One folder, two programs: a running ASP.NET Core reads rings and payloads of ours, and the other way round."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dpmiddleware.clock import SystemClock
from dpmiddleware.crypto.encryptors import Algorithm, Gcm
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import RevokedKeyError, TamperedPayloadError, UnknownKeyError, UnprotectError
from dpmiddleware.instants import Instant
from dpmiddleware.repositories.files import FileKeyRepository
from tests.interop.ours import OurRing, of_documents
from tests.interop.peer import Peer, PeerError, PeerRing

DATA = (b"", b"\0", b"0123456789abcdef", bytes(range(256)) * 40)
"""Nothing, a zero byte, a whole block, 10 KB."""
PURPOSES = ("Shop.Cart", "", "Корзина", "with\0NUL", "p" * 128)
ALGORITHMS = [pytest.param(algorithm, id=algorithm.name) for algorithm in Algorithm]
THEIRS = [
    pytest.param({"encryption": e, "validation": v, "managed": m}, id=f"{e}-{v}-{'managed' if m else 'built-in'}")
    for e in ("AES_128_CBC", "AES_192_CBC", "AES_256_CBC", "AES_128_GCM", "AES_192_GCM", "AES_256_GCM")
    for v in ("HMACSHA256", "HMACSHA512")
    for m in (False, True)
    if "GCM" not in e or (v == "HMACSHA256" and not m)
]


def now() -> str:
    return str(Instant.of(datetime.now(timezone.utc)))


def ours_in(
    folder: Path, algorithm: Algorithm = Algorithm.AES_256_CBC_HMACSHA256, application: str = "shop"
) -> DataProtection:
    return DataProtection(application, repository=FileKeyRepository(folder), algorithm=algorithm)


def theirs_in(peer: Peer, folder: Path, **spec: Any) -> PeerRing:
    return peer.folder(folder, "shop", autoGenerate=False, **spec)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_ring_that_we_made_serves_both(algorithm: Algorithm, peer: Peer, tmp_path: Path) -> None:
    protector = ours_in(tmp_path, algorithm).create_protector(*PURPOSES)
    payloads = [protector.protect(data) for data in DATA]
    theirs = theirs_in(peer, tmp_path)
    for data, payload in zip(DATA, payloads, strict=True):
        assert theirs.unprotect(payload, *PURPOSES) == data
        assert protector.unprotect(theirs.protect(data, *PURPOSES)) == data
    assert set(theirs.usable().values()) == {True}


@pytest.mark.parametrize("spec", THEIRS)
def test_a_ring_that_they_made_serves_both(spec: dict[str, Any], peer: Peer, tmp_path: Path) -> None:
    theirs = peer.folder(tmp_path, "shop", **spec)
    payloads = [theirs.protect(data, *PURPOSES) for data in DATA]
    dp = ours_in(tmp_path)
    protector = dp.create_protector(*PURPOSES)
    for data, payload in zip(DATA, payloads, strict=True):
        assert protector.unprotect(payload) == data
        assert theirs.unprotect(protector.protect(data), *PURPOSES) == data
    (key,) = dp.manager.read().keys
    assert key.encryptor is not None
    assert isinstance(key.encryptor.suite, Gcm) is ("GCM" in spec["encryption"])


def test_texts_go_both_ways(peer: Peer, tmp_path: Path) -> None:
    protector, text = ours_in(tmp_path).create_protector("p"), "3 apples, ä, 🍏, \0"
    theirs = theirs_in(peer, tmp_path)
    assert theirs.unprotect_text(protector.protect(text), "p") == text
    assert protector.unprotect(theirs.protect_text(text, "p")) == text


def test_an_application_without_a_name_is_one_on_both_sides(peer: Peer, tmp_path: Path) -> None:
    protector = DataProtection(None, repository=FileKeyRepository(tmp_path)).create_protector("p")
    theirs = peer.folder(tmp_path, autoGenerate=False)
    assert theirs.unprotect(protector.protect(b"x"), "p") == b"x"
    assert protector.unprotect(theirs.protect(b"x", "p")) == b"x"


def test_time_limits_go_both_ways_to_the_tick(peer: Peer, tmp_path: Path) -> None:
    protector = ours_in(tmp_path).create_protector("p").time_limited()
    past = protector.protect(b"z", expires=datetime(2000, 1, 1, tzinfo=timezone.utc))
    theirs = theirs_in(peer, tmp_path)
    data, expires = protector.unprotect_with_expiry(theirs.protect_timed(b"x", "2999-12-31T23:59:59.1234567Z", "p"))
    assert (data, str(expires)) == (b"x", "2999-12-31 23:59:59.123456+00:00")
    soon = datetime(2999, 1, 2, 3, 4, 5, 678901, tzinfo=timezone.utc)
    data, read_as = theirs.unprotect_timed(protector.protect(b"y", expires=soon), "p")
    assert (data, Instant.parse(read_as)) == (b"y", Instant.of(soon))
    with pytest.raises(PeerError, match="expired"):
        theirs.unprotect_timed(past, "p")


def test_dates_of_our_keys_are_read_to_the_tick(peer: Peer, tmp_path: Path) -> None:
    dp = ours_in(tmp_path)
    dp.create_protector("p").protect(b"x")
    dp.manager.create_key()
    theirs = {key["key"]: key for key in theirs_in(peer, tmp_path).list_keys()}
    for key in dp.manager.read().keys:
        read = theirs[str(key.id)]
        assert Instant.parse(read["created"]) == key.creation_date
        assert Instant.parse(read["activation"]) == key.activation_date
        assert Instant.parse(read["expiration"]) == key.expiration_date
    assert len(theirs) == 2


def test_a_key_that_we_revoked_is_refused_by_both(peer: Peer, tmp_path: Path) -> None:
    dp = ours_in(tmp_path)
    payload = dp.create_protector("p").protect(b"x")
    (key,) = dp.manager.read().keys
    dp.manager.create_key(activate_now=True)
    dp.manager.revoke(key.id, 'stolen <laptop> & "more"')
    theirs = theirs_in(peer, tmp_path)
    assert {each["key"]: each["revoked"] for each in theirs.list_keys()}[str(key.id)]
    with pytest.raises(PeerError, match="has been revoked"):
        theirs.unprotect(payload, "p")
    with pytest.raises(RevokedKeyError):
        ours_in(tmp_path).create_protector("p").unprotect(payload)


def test_a_key_that_they_revoked_is_refused_by_both(peer: Peer, tmp_path: Path) -> None:
    theirs = peer.folder(tmp_path, "shop")
    payload = theirs.protect(b"x", "p")
    key = theirs.list_keys()[0]["key"]
    theirs.ask("key.revoke", key=key, reason='stolen <laptop> & "more"')
    dp = ours_in(tmp_path)
    with pytest.raises(RevokedKeyError):
        dp.create_protector("p").unprotect(payload)
    (revoked,) = [each for each in dp.manager.read().keys if str(each.id) == key]
    assert revoked.revocation is not None
    assert revoked.revocation.reason == 'stolen <laptop> & "more"'


def test_revoking_all_leaves_both_with_the_new_key(peer: Peer, tmp_path: Path) -> None:
    dp = ours_in(tmp_path)
    payload = dp.create_protector("p").protect(b"x")
    done = dp.manager.revoke_all()
    theirs = theirs_in(peer, tmp_path)
    with pytest.raises(PeerError, match="has been revoked"):
        theirs.unprotect(payload, "p")
    assert {each["key"] for each in theirs.list_keys() if not each["revoked"]} == {str(done.new_key)}
    fresh = theirs.protect(b"y", "p")
    assert ours_in(tmp_path).create_protector("p").unprotect(fresh) == b"y"


def test_what_they_revoke_all_at_once_is_revoked_here(peer: Peer, tmp_path: Path) -> None:
    theirs = peer.folder(tmp_path, "shop")
    payload = theirs.protect(b"x", "p")
    theirs.ask("key.revokeAll", date=now(), reason="break-in")
    with pytest.raises(RevokedKeyError):
        ours_in(tmp_path).create_protector("p").unprotect(payload)


def test_both_refuse_the_other_application(peer: Peer, tmp_path: Path) -> None:
    payload = ours_in(tmp_path, application="shop").create_protector("p").protect(b"x")
    with pytest.raises(PeerError, match="payload was invalid"):
        peer.folder(tmp_path, "Shop", autoGenerate=False).unprotect(payload, "p")
    with pytest.raises(TamperedPayloadError):
        ours_in(tmp_path, application="Shop").create_protector("p").unprotect(payload)


def test_both_in_one_empty_folder_agree_on_one_key(peer: Peer, tmp_path: Path) -> None:
    payload = ours_in(tmp_path).create_protector("p").protect(b"x")
    theirs = peer.folder(tmp_path, "shop")  # it may make keys, and sees that there is one
    assert theirs.unprotect(payload, "p") == b"x"
    theirs.protect(b"y", "p")
    assert len(theirs.list_keys()) == len(ours_in(tmp_path).manager.read().keys) == 1


class LaterClock(SystemClock):
    """The real clock, some days ahead."""

    def __init__(self, days: float) -> None:
        self._ahead = timedelta(days=days)

    def now(self) -> datetime:
        return super().now() + self._ahead


@pytest.mark.parametrize("days", [0, 45, 86.9, 87.1, 89.9, 90.1, 400])
def test_the_key_that_protects_on_a_later_day_is_the_same(days: float, peer: Peer, tmp_path: Path) -> None:
    """We make the successor when it is due; the other side then finds nothing due and takes the same default."""
    ours_in(tmp_path).create_protector("p").protect(b"x")
    clock = LaterClock(days)
    later = DataProtection("shop", repository=FileKeyRepository(tmp_path), clock=clock)
    later.create_protector("p").protect(b"y")
    default = later.current().default
    assert default is not None
    theirs = peer.folder(tmp_path, "shop")
    moment = str(Instant.of(clock.now()))
    assert theirs.ask("key.ring", now=moment)["default"] == str(default.id)
    assert len(theirs.list_keys()) == len(later.manager.read().keys)


def test_a_key_of_another_ring_is_unknown_to_both(peer: Peer, tmp_path: Path) -> None:
    payload = ours_in(tmp_path / "one").create_protector("p").protect(b"x")
    ours_in(tmp_path / "two").create_protector("p").protect(b"y")
    with pytest.raises(PeerError, match="not found in the key ring"):
        theirs_in(peer, tmp_path / "two").unprotect(payload, "p")
    with pytest.raises(UnknownKeyError):
        ours_in(tmp_path / "two").create_protector("p").unprotect(payload)


@pytest.fixture(scope="module")
def shared(peer: Peer) -> tuple[OurRing, PeerRing]:
    """One ring of theirs in memory, given to both."""
    theirs = peer.documents([], "Лавка")
    theirs.protect(b"", "p")
    documents = theirs.ask("store.documents")["documents"]
    return of_documents(documents, "Лавка", now=now()), theirs


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(purposes=st.lists(TEXT, min_size=1, max_size=5), data=st.binary(max_size=300))
def test_any_purposes_mean_the_same_on_both_sides(
    shared: tuple[OurRing, PeerRing], purposes: list[str], data: bytes
) -> None:
    ours, theirs = shared
    protector = ours.protector(*purposes)
    assert theirs.unprotect(protector.protect(data), *purposes) == data
    assert protector.unprotect(theirs.protect(data, *purposes)) == data


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    damage=st.sampled_from(["text", "insert", "cut", "swap", "change"]),
    where=st.integers(0, 10_000),
    extra=st.sampled_from([" ", "\n", "=", "==", "%", "A", "-", "_", "+", "/", ".", "\u00e4", "\0"]),
)
def test_any_damaged_text_is_opened_by_both_or_by_none(
    shared: tuple[OurRing, PeerRing], damage: str, where: int, extra: str
) -> None:
    ours, theirs = shared
    text = theirs.protect_text("3 apples", "p")
    at = where % len(text)
    damaged = {
        "text": text + extra,
        "insert": text[:at] + extra + text[at:],
        "cut": text[:at],
        "swap": text[:at] + text[at + 1 : at + 2] + text[at : at + 1] + text[at + 2 :],
        "change": text[:at] + extra + text[at + 1 :],
    }[damage]
    try:
        opened: str | None = theirs.unprotect_text(damaged, "p")
    except PeerError:
        opened = None
    try:
        mine: str | None = ours.protector("p").unprotect(damaged)
    except UnprotectError:
        mine = None
    assert mine == opened, json.dumps(damaged)


PADDED = ("=", "==", "===", "====", "A", "A=", "A==", "A===", "AA=", "AA==", "AAA", "AAA=", "AB==")


@pytest.mark.parametrize("ending", PADDED)
@pytest.mark.parametrize("slash", ["", "/"], ids=["base64url", "base64"])
def test_odd_padding_is_taken_by_both_or_by_none(slash: str, ending: str, shared: tuple[OurRing, PeerRing]) -> None:
    """Both refuse such a payload; what counts is whether it was a payload at all."""
    ours, theirs = shared
    text = "CfDJ8AAAAAAAAAAAAAAAAAAAAAAAAAAA" + (slash and "AAA" + slash) + ending
    with pytest.raises(PeerError) as theirs_said:
        theirs.unprotect_text(text, "p")
    with pytest.raises(UnprotectError) as we_said:
        ours.protector("p").unprotect(text)
    was_text = "not found in the key ring" in str(theirs_said.value)
    assert isinstance(we_said.value, UnknownKeyError) is was_text


ENCODINGS = [
    pytest.param(lambda text: text.encode("utf-8-sig"), id="UTF-8 with a mark"),
    pytest.param(lambda text: f'<?xml version="1.0" encoding="utf-8"?>\r\n{text}\r\n'.encode(), id="UTF-8 declared"),
    pytest.param(lambda text: f'<?xml version="1.0" encoding="utf-16"?>{text}'.encode("utf-16"), id="UTF-16"),
    pytest.param(lambda text: text.encode("utf-16"), id="UTF-16 by its mark"),
    pytest.param(lambda text: b"\xfe\xff" + text.encode("utf-16-be"), id="UTF-16, big end first"),
    pytest.param(lambda text: f"<?xml version='1.0' encoding='ISO-8859-1'?>{text}".encode("latin-1"), id="ISO-8859-1"),
    pytest.param(
        lambda text: f"<?xml version='1.0' encoding='us-ascii'?>{text}".encode("ascii", "xmlcharrefreplace"), id="ASCII"
    ),
    pytest.param(
        lambda text: f"<?xml version='1.0' standalone='yes'?><!-- mine -->{text}<!-- end -->".encode(), id="comments"
    ),
    pytest.param(lambda text: re.sub(r"(?<=>)(?=<)", "\r\n  ", text).encode(), id="indented"),
    pytest.param(
        lambda text: re.sub("<value>(.*)</value>", r"<value><![CDATA[\1]]></value>", text).encode(), id="CDATA"
    ),
    pytest.param(lambda text: text.replace("=</value>", "&#61;</value>").encode(), id="a character reference"),
]


@pytest.mark.parametrize("rewritten", ENCODINGS)
def test_a_document_that_somebody_rewrote_is_read_by_both(
    rewritten: Callable[[str], bytes], peer: Peer, tmp_path: Path
) -> None:
    payload = ours_in(tmp_path).create_protector("p").protect(b"x")
    (file,) = tmp_path.glob("*.xml")
    file.write_bytes(rewritten(file.read_text("utf-8")))
    assert theirs_in(peer, tmp_path).unprotect(payload, "p") == b"x"
    assert ours_in(tmp_path).create_protector("p").unprotect(payload) == b"x"
    revoked = file.stem.removeprefix("key-")
    ours_in(tmp_path).manager.revoke(UUID(revoked), "Ä \u0001 ]]> &amp;")
    theirs = {key["key"]: key["revoked"] for key in theirs_in(peer, tmp_path).list_keys()}
    assert theirs.pop(revoked) is True
    assert list(theirs.values()) == [False]  # the successor
