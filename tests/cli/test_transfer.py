"""``dpm keys export`` and ``dpm keys import``."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from dpmiddleware.cli import main
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.keys.interfaces import StoredDocument
from dpmiddleware.repositories.files import FileKeyRepository
from dpmiddleware.repositories.markup import split
from tests.fakes import key_document, put

NAMES = ["--application", "shop", "--repository"]


@pytest.fixture
def store(tmp_path: Path) -> FileKeyRepository:
    return FileKeyRepository(tmp_path / "keys")


def exported(store: FileKeyRepository, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    assert main(["keys", "export", *options, *NAMES, store.location]) == 0
    return capsys.readouterr().out


def test_each_document_leaves_byte_by_byte(store: FileKeyRepository, capsys: pytest.CaptureFixture[str]) -> None:
    """Also a document that another program wrote: layout, comments, quotes, characters that are not ASCII."""
    theirs = (
        key_document()
        .data.replace(b"><", ">\n  <!-- schön -->\n  <".encode(), 1)
        .replace(b'version="1"', b"version='1'")
    )
    put(store, StoredDocument("key-theirs", theirs), key_document())
    found = split(exported(store, capsys, "--in-clear").encode())
    assert {each.data for each in found} == {each.data for each in store.read().documents}
    assert theirs in {each.data for each in found}


def test_as_json_the_text_is_the_same(store: FileKeyRepository, capsys: pytest.CaptureFixture[str]) -> None:
    put(store, key_document())
    text = exported(store, capsys, "--in-clear")
    assert json.loads(exported(store, capsys, "--in-clear", "--json")) == {
        "documents": 1,
        "repository": text.removesuffix("\n"),
    }


def test_no_master_key_is_printed_unless_it_was_said(
    store: FileKeyRepository, capsys: pytest.CaptureFixture[str]
) -> None:
    put(store, key_document())
    value = store.read().documents[0].data.decode().partition("<value>")[2].partition("</value>")[0]
    assert len(value) == 88
    for flags in ([], ["--json"]):
        assert main(["keys", "export", *flags, *NAMES, store.location]) == 1
        captured = capsys.readouterr()
        assert value not in captured.out + captured.err


def test_what_cannot_be_read_is_named_and_the_rest_leaves(
    store: FileKeyRepository, capsys: pytest.CaptureFixture[str]
) -> None:
    put(store, key_document())
    (store.folder / "key-cut.xml").write_bytes(b"<key")
    assert main(["keys", "export", "--in-clear", *NAMES, store.location]) == 1
    captured = capsys.readouterr()
    assert len(split(captured.out.encode())) == 1
    assert "key-cut was not exported" in captured.err


def test_an_empty_ring_is_an_empty_text(store: FileKeyRepository, capsys: pytest.CaptureFixture[str]) -> None:
    assert split(exported(store, capsys).encode()) == ()


def test_a_backup_opens_what_the_ring_opened(
    store: FileKeyRepository,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Through standard input, into a ring that has its own key."""
    token = DataProtection("shop", repository=store).create_protector("p").protect("3 apples")
    text = exported(store, capsys, "--in-clear")
    other = DataProtection("shop", repository=str(tmp_path / "other"))
    other.create_protector("p").protect("x")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode()), encoding="ascii"))
    assert main(["keys", "import", "-", *NAMES, other.repository.location]) == 0
    assert other.create_protector("p").unprotect(token) == "3 apples"
