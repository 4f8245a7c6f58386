"""Signatures survive every store, copies between stores, and a program that rewrites the blob."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4
from xml.dom import minidom

import pytest

from dpmiddleware.components import repository_from
from dpmiddleware.keys.interfaces import KeyRepository, StoredDocument
from dpmiddleware.keys.maintenance import copy
from dpmiddleware.keys.manager import KeyManager
from dpmiddleware.keys.signature import TrustedSigners
from dpmiddleware.repositories.markup import edit, split
from dpmiddleware.repositories.memory import MemoryKeyRepository
from tests.at_rest.test_in_a_ring import signed, signer
from tests.fakes import StoppedClock, key_document, put, revocation_document
from tests.farm.places import STORES, place


def trusted() -> TrustedSigners:
    return TrustedSigners([signer().public_key], ring="shop")


def reader(repository: KeyRepository) -> KeyManager:
    """Of the ring "shop"; trusts only our signer."""
    return KeyManager(
        repository, StoppedClock(), ring="shop", verifier=trusted(), allow_plain=True, auto_create_keys=False
    )


def signed_documents() -> list[StoredDocument]:
    """Two keys, a revocation of another one, and a reason that takes some escaping."""
    keys = [signed(key_document()) for _ in range(2)]
    return [*keys, signed(revocation_document(uuid4(), reason='lost & "found" <öffentlich>\n 🍐'))]


@pytest.fixture(params=STORES)
def repository(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[KeyRepository]:
    """An empty one in each real store."""
    with place(request.param, request, tmp_path) as url:
        yield repository_from(url)


def test_a_signed_ring_goes_through_every_store_and_out_again(repository: KeyRepository) -> None:
    source, target = MemoryKeyRepository(signed_documents()), MemoryKeyRepository()
    assert copy(reader(source), reader(repository)).copied == 3
    reading = reader(repository).read()
    assert (len(reading.documents), reading.set_aside, reading.signed) == (3, (), True)
    assert copy(reader(repository), reader(target)).copied == 3
    assert sorted(one.data for one in target.read().documents) == sorted(one.data for one in source.read().documents)


def test_what_nobody_signed_is_refused_in_every_store(repository: KeyRepository) -> None:
    put(repository, *signed_documents())
    planted = key_document()
    put(repository, planted)
    reading = reader(repository).read()
    assert [aside.stored.data for aside in reading.refused] == [planted.data]
    assert len(reading.keys) == 2


def written_anew(blob: bytes, *, indented: bool) -> bytes:
    """As .NET appends to its blob: read as a whole, extended by a key, written by another XML library.

    As in .NET, a namespace stays declared where it was.
    """
    tree = minidom.parseString(blob)  # noqa: S318 (our own)
    theirs = minidom.parseString(key_document().data).documentElement  # noqa: S318 (our own)
    assert tree.documentElement is not None
    assert theirs is not None
    tree.documentElement.appendChild(tree.importNode(theirs, deep=True))
    text = tree.toprettyxml("    ") if indented else tree.toxml()
    return b"\xef\xbb\xbf" + text.encode()


@pytest.mark.parametrize("indented", [False, True], ids=["compact", "indented"])
def test_an_append_by_another_program_to_the_same_blob_keeps_every_signature(indented: bool) -> None:
    """Prefixes, layout and the byte order mark change; only the added document is refused."""
    blob = edit(b"", signed_documents(), ())
    for _ in range(2):
        blob = written_anew(blob, indented=indented)
    reading = reader(MemoryKeyRepository(split(blob))).read()
    assert (len(reading.documents), len(reading.refused)) == (3, 2)
    assert len(reading.set_aside) == 2
