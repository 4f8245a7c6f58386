"""Real wrappers and signatures in a ring: how often a private key is used, what never reaches it, and .NET."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from dpmiddleware.at_rest.certificates import CertificateKey, load_certificates
from dpmiddleware.at_rest.key_blob import KeyBlobKeyWrapper
from dpmiddleware.at_rest.key_blob_files import create_key_blob
from dpmiddleware.at_rest.secret_key import SecretKeyWrapper
from dpmiddleware.at_rest.x509 import X509KeyWrapper
from dpmiddleware.crypto.secret import Secret
from dpmiddleware.errors import ConfigurationError, KeyUnwrapError
from dpmiddleware.keys.document import may_be_key
from dpmiddleware.keys.interfaces import KeyWrapper, StoredDocument
from dpmiddleware.keys.manager import KeyManager
from dpmiddleware.keys.signature import RingSigner, TrustedSigners
from dpmiddleware.keys.signers import Ed25519Signer
from dpmiddleware.keys.xml import dump, parse
from dpmiddleware.repositories.memory import MemoryKeyRepository
from tests.at_rest.test_key_blob import pem, public_pem, rsa_key
from tests.fakes import (
    DAY,
    NOON,
    CountingKey,
    StoppedClock,
    key_document,
    manager,
    put,
    revocation_document,
    ring_of,
    take_away,
)
from tests.interop.peer import Peer
from tests.interop.vectors import VECTORS

CERTIFICATES = VECTORS / "certificates"
NOW = datetime.now(timezone.utc)


@pytest.fixture
def counting() -> tuple[KeyWrapper, CountingKey]:
    """A certificate whose private key counts its uses."""
    (found,) = load_certificates(CERTIFICATES / "first.pem")
    assert isinstance(found.private_key, rsa.RSAPrivateKey)
    key = CountingKey(found.private_key)
    return X509KeyWrapper.of([CertificateKey(found.certificate, key)]), key


Counted = tuple[KeyWrapper, CountingKey]

# --- how often --------------------------------------------------------------------------------------------------------


def test_a_refresh_with_nothing_new_uses_no_private_key(counting: Counted) -> None:
    wrapper, key = counting
    store = ring_of(*(key_document(wrapper=wrapper) for _ in range(3)))
    ours = manager(store, wrappers=[wrapper])
    ours.load_ring()
    assert key.calls == 3
    for _ in range(3):
        ours.load_ring()
    assert key.calls == 3


def test_a_changed_ring_unwraps_what_is_new_and_no_more(counting: Counted) -> None:
    wrapper, key = counting
    store = ring_of(*(key_document(wrapper=wrapper) for _ in range(3)))
    ours = manager(store, wrappers=[wrapper])
    ours.load_ring()
    put(store, key_document(wrapper=wrapper), revocation_document(uuid4()))
    ours.load_ring()
    assert key.calls == 4


def test_a_thousand_keys_under_a_key_blob_load_with_one_private_key_operation(tmp_path: Path) -> None:
    for name in ("exchange", "signer"):
        (tmp_path / f"{name}.pem").write_bytes(pem(rsa_key(name)))
        (tmp_path / f"{name}.pub").write_bytes(public_pem(rsa_key(name)))
    blob = tmp_path / "session.blob"
    create_key_blob(blob, exchange=tmp_path / "exchange.pub", signer=tmp_path / "signer.pem")
    key = CountingKey(rsa_key("exchange"))
    wrapper = KeyBlobKeyWrapper(blob, exchange=key, trust=[tmp_path / "signer.pub"])
    store = ring_of(*(key_document(wrapper=wrapper) for _ in range(1000)))
    fresh = KeyBlobKeyWrapper(blob, exchange=key, trust=[tmp_path / "signer.pub"])
    key.calls = 0
    ring = manager(store, wrappers=[fresh]).load_ring()
    assert sum(each.usable for each in ring.keys) == 1000
    assert key.calls == 1


# --- what was unwrapped with is gone ----------------------------------------------------------------------------------


def test_a_running_process_goes_on_and_a_fresh_one_says_what_to_do(counting: Counted) -> None:
    """And no key is created: other processes still protect with the one that cannot be unwrapped here."""
    wrapper, key = counting
    store = ring_of(key_document(wrapper=wrapper))
    running = manager(store, wrappers=[wrapper])
    default = running.load_ring().default
    key.gone = True
    again = running.load_ring().default
    assert default is not None
    assert again is not None
    assert again.id == default.id
    with pytest.raises(KeyUnwrapError) as caught:
        manager(store, wrappers=[wrapper]).load_ring()
    assert caught.value.hint
    assert len(store.inner.read().documents) == 1


# --- wrappings that are moved or edited -------------------------------------------------------------------------------

SECRET = Secret(b"correct horse battery staple, for the tests of a ring")


def _moved(documents: list[StoredDocument]) -> list[StoredDocument]:
    """The wrapping of the second in the document of the first."""
    first, second = (parse(stored.data) for stored in documents)
    place, theirs = (next(e for e in tree.iter() if e.tag.endswith("}encryptedSecret")) for tree in (first, second))
    place[:] = list(theirs)
    return [StoredDocument(documents[0].name, dump(first)), documents[1]]


def _edited(old: bytes, new: bytes) -> Callable[[list[StoredDocument]], list[StoredDocument]]:
    def edit(documents: list[StoredDocument]) -> list[StoredDocument]:
        assert old in documents[0].data
        return [StoredDocument(documents[0].name, documents[0].data.replace(old, new)), documents[1]]

    return edit


def _under_another_id(documents: list[StoredDocument]) -> list[StoredDocument]:
    """An old document, stored again with an id that is not revoked."""
    other = str(uuid4())
    old = (documents[0].name or "").removeprefix("key-")
    return [StoredDocument(f"key-{other}", documents[0].data.replace(old.encode(), other.encode())), documents[1]]


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(_moved, id="a wrapping moved into another key's document"),
        pytest.param(_edited(b"AES_256_CBC", b"AES_128_CBC"), id="another algorithm"),
        pytest.param(_edited(b"<expirationDate>20", b"<expirationDate>21"), id="another expiration"),
        pytest.param(_edited(b"<activationDate>2026", b"<activationDate>2025"), id="another activation"),
        pytest.param(_edited(b"<creationDate>2026", b"<creationDate>2025"), id="another creation"),
        pytest.param(_under_another_id, id="another id"),
    ],
)
def test_an_unsigned_document_that_was_edited_is_unreadable(
    edit: Callable[[list[StoredDocument]], list[StoredDocument]],
) -> None:
    wrapper = SecretKeyWrapper.of(SECRET)
    documents = [key_document(wrapper=wrapper), key_document(wrapper=wrapper)]
    ring = manager(ring_of(*edit(documents)), wrappers=[wrapper], auto_create_keys=False).load_ring()
    assert sorted(key.usable for key in ring.keys) == [False, True]


def test_a_ring_under_another_name_does_not_open() -> None:
    wrapper = SecretKeyWrapper.of(SECRET)
    store = ring_of(key_document(wrapper=wrapper, ring="staging"))
    with pytest.raises(KeyUnwrapError):
        manager(store, wrappers=[wrapper]).load_ring()


# --- signed rings -----------------------------------------------------------------------------------------------------


@cache
def signer() -> Ed25519Signer:
    return Ed25519Signer(ed25519.Ed25519PrivateKey.generate())


def signed(stored: StoredDocument, ring: str = "shop", by: Ed25519Signer | None = None) -> StoredDocument:
    element = parse(stored.data)
    RingSigner(by or signer(), ring=ring).sign(element, NOON)
    return StoredDocument(stored.name, dump(element))


def trusting(store: MemoryKeyRepository, wrapper: KeyWrapper, *, signs: bool = False) -> KeyManager:
    """A reader of the ring "shop" that trusts our signer; if it ``signs``, it also creates keys."""
    return KeyManager(
        store,
        StoppedClock(),
        ring="shop",
        wrappers=[wrapper],
        signer=RingSigner(signer(), ring="shop") if signs else None,
        verifier=TrustedSigners([signer().public_key], ring="shop"),
        auto_create_keys=signs,
    )


def test_what_an_attacker_plants_never_reaches_the_private_key(counting: Counted) -> None:
    """The attacker's key is wrapped with our certificate, which anyone can do, and is the newest."""
    wrapper, key = counting
    attacker = Ed25519Signer(ed25519.Ed25519PrivateKey.generate())
    good = signed(key_document(wrapper=wrapper))
    planted = key_document(wrapper=wrapper, created=-DAY / 2)
    forged = signed(key_document(wrapper=wrapper, created=-DAY / 2), by=attacker)
    foreign = signed(key_document(wrapper=wrapper, created=-DAY / 2, ring="staging"), ring="staging")
    reader = trusting(MemoryKeyRepository([good, planted, forged, foreign]), wrapper)
    ring = reader.load_ring()
    assert [f"key-{found.id}" for found in ring.keys] == [good.name]
    assert key.calls == 1
    problems = sorted(aside.problem for aside in reader.read().refused)
    assert [problem.partition(" ")[2].split()[0] for problem in problems] == ["document", "document", "signer"]
    assert "the document was signed for the ring staging, not for shop" in problems


def test_a_revocation_of_all_for_another_ring_is_refused(counting: Counted) -> None:
    wrapper, _ = counting
    good = signed(key_document(wrapper=wrapper))
    theirs = signed(revocation_document(None, dated=DAY), ring="staging")
    ring = trusting(MemoryKeyRepository([good, theirs]), wrapper).load_ring()
    assert [key.revocation for key in ring.keys] == [None]


def test_wrong_trusted_signers_on_a_good_ring_make_nothing(counting: Counted) -> None:
    wrapper, key = counting
    stranger = TrustedSigners([ed25519.Ed25519PrivateKey.generate().public_key()], ring="shop")
    store = MemoryKeyRepository([signed(key_document(wrapper=wrapper))])
    before = store.read()
    wrong = KeyManager(
        store,
        StoppedClock(),
        ring="shop",
        wrappers=[wrapper],
        signer=RingSigner(signer(), ring="shop"),
        verifier=stranger,
    )
    with pytest.raises(ConfigurationError):
        wrong.load_ring()
    assert store.read() == before
    assert key.calls == 0


def test_what_a_signing_manager_writes_a_reader_with_the_public_key_takes(counting: Counted) -> None:
    wrapper, _ = counting
    store = MemoryKeyRepository()
    maker = trusting(store, wrapper, signs=True)
    default = maker.load_ring().default
    assert default is not None
    maker.revoke(default.id, "stolen \x1b[2K <script>\r\n" + 100_000 * "x")
    ring = trusting(store, wrapper).load_ring()
    found = ring.find(default.id.bytes_le)
    assert found is not None
    assert found.revocation is not None
    assert found.revocation.reason.startswith("stolen \\x1b[2K <script>\r\nxxx")
    assert trusting(store, wrapper).read().set_aside == ()


# --- the real .NET on signed documents --------------------------------------------------------------------------------


def _written_now(wrapper: KeyWrapper | None) -> StoredDocument:
    return signed(key_document(NOW, wrapper=wrapper))


@pytest.mark.parametrize("oaep", [False, True], ids=["PKCS#1 v1.5", "OAEP"])
def test_dotnet_reads_a_signed_ring_as_if_the_signature_were_not_there(peer: Peer, oaep: bool) -> None:
    wrapper = X509KeyWrapper(CERTIFICATES / "first.pem", oaep=oaep)
    kept, revoked = _written_now(wrapper), _written_now(wrapper)
    revocation = signed(revocation_document(_id(revoked), NOW))
    texts = [stored.data.decode() for stored in (kept, revoked, revocation)]
    unprotect = [{"pfx": str(CERTIFICATES / "first.pfx"), "password": "first"}]
    theirs = peer.documents(texts, application="shop", autoGenerate=False, unprotectWith=unprotect)
    keys = {UUID(key["key"]): key["revoked"] for key in theirs.list_keys()}
    assert keys == {_id(kept): False, _id(revoked): True}
    assert all(theirs.usable().values())
    assert theirs.unprotect(theirs.protect(b"3 apples", "cart"), "cart") == b"3 apples"


def _id(stored: StoredDocument) -> UUID:
    return UUID((stored.name or "").removeprefix("key-"))


def test_a_folder_that_dotnet_writes_to_as_well_keeps_every_signature(peer: Peer, tmp_path: Path) -> None:
    kept = _written_now(None)
    (tmp_path / f"{kept.name}.xml").write_bytes(_indented(kept.data))
    theirs = peer.folder(tmp_path, application="shop")
    theirs.ask("key.create", activation="2026-01-01T00:00:00Z", expiration="2099-01-01T00:00:00Z")
    theirs.ask("key.revoke", key=str(_id(kept)), reason="lost")
    trusted = TrustedSigners([signer().public_key], ring="shop")
    names = sorted(path.name for path in tmp_path.glob("*.xml"))
    assert len(names) == 3
    trusted.verify(parse((tmp_path / f"{kept.name}.xml").read_bytes()))


def _indented(data: bytes) -> bytes:
    element = parse(data)
    ET.indent(element)
    return b'\xef\xbb\xbf<?xml version="1.0" encoding="utf-8"?>\r\n' + dump(element)


def test_a_key_of_a_pruned_ring_put_back_opens_nothing_while_its_revocation_is_there(counting: Counted) -> None:
    wrapper, _ = counting
    old, other = signed(key_document(wrapper=wrapper)), signed(key_document(wrapper=wrapper))
    revocation = signed(revocation_document(_id(old)))
    store = MemoryKeyRepository([old, other, revocation])
    take_away(store, lambda stored: stored.name == old.name)
    put(store, old)
    ring = trusting(store, wrapper).load_ring()
    found = ring.find(_id(old).bytes_le)
    assert found is not None
    assert found.revocation is not None
    assert may_be_key(old)
