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


def test_an_empty_ring_is_not_a_backup(
    store: FileKeyRepository, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A nightly job wrote an empty text over yesterday's."""
    backup = tmp_path / "backup.xml"
    for output in ([], ["--output", str(backup)]):
        assert main(["keys", "export", *output, *NAMES, store.location]) == 1
        captured = capsys.readouterr()
        assert captured.out == ""
        assert f"there is no key ring in {store.location}" in captured.err
    assert not backup.exists()


def test_a_file_is_replaced_as_a_whole_and_only_its_owner_reads_it(
    store: FileKeyRepository, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(store, key_document())
    backup, link = tmp_path / "backup.xml", tmp_path / "latest.xml"
    backup.write_text("yesterday's")
    link.symlink_to(backup)
    assert main(["keys", "export", "--in-clear", "--output", str(link), *NAMES, store.location]) == 0
    assert capsys.readouterr().out == f"exported 1 document of {store.location} to {link}\n"
    assert link.is_symlink()
    assert backup.stat().st_mode & 0o777 == 0o600
    assert split(backup.read_bytes()) == split(exported(store, capsys, "--in-clear").encode())
    assert sorted(file.name for file in tmp_path.iterdir()) == ["backup.xml", "keys", "latest.xml"]


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
