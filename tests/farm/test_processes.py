"""Real processes on one folder: changes arrive within a poll; and a folder full of odd files."""

from __future__ import annotations

import os
import sys
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from dpmiddleware import DataProtection, RotationPolicy
from dpmiddleware.errors import RevokedKeyError
from tests.fakes import DAY, events, key_document, until
from tests.farm.test_fork import in_child

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="processes are forked here")
POLICY = RotationPolicy(poll=timedelta(milliseconds=200))
SECONDS = 20


def test_a_key_that_one_process_revokes_is_refused_by_the_others_without_a_restart(tmp_path: Path) -> None:
    """Three workers have a payload that opens; the operator revokes its key; soon it opens nowhere."""
    folder = tmp_path / "keys"
    dp = DataProtection("shop", repository=folder, policy=POLICY)
    protector = dp.create_protector("p")
    token = protector.protect("text")

    def is_refused() -> bool:
        try:
            protector.unprotect(token)
        except RevokedKeyError:
            return True
        return False

    def worker(number: int) -> None:
        assert protector.unprotect(token) == "text"
        (tmp_path / f"ready-{number}").touch()
        until((tmp_path / "revoked").exists, SECONDS)
        until(is_refused, SECONDS)
        assert protector.unprotect(protector.protect("new")) == "new"

    workers = [threading.Thread(target=in_child, args=(lambda number=number: worker(number),)) for number in range(3)]
    failures: list[object] = []
    hook, threading.excepthook = threading.excepthook, failures.append
    try:
        for thread in workers:
            thread.start()
        for number in range(3):
            until((tmp_path / f"ready-{number}").exists, SECONDS)
        operator = DataProtection("shop", repository=folder).manager
        operator.revoke(operator.read().keys[0].id, "stolen")
        (tmp_path / "revoked").touch()
        for thread in workers:
            thread.join(2 * SECONDS)
    finally:
        threading.excepthook = hook
    assert failures == []
    assert not any(thread.is_alive() for thread in workers)


def test_a_folder_full_of_odd_things_starts_and_names_them(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Story 14: each file is set aside, none is followed, waited for or read completely; the good key protects."""
    good, elsewhere = key_document(created=-DAY), tmp_path / "elsewhere"
    folder = tmp_path / "keys"
    folder.mkdir(mode=0o700)
    elsewhere.mkdir()
    (elsewhere / "secret.xml").write_bytes(key_document().data)
    (folder / f"{good.name}.xml").write_bytes(_from_now(good.data))
    (folder / "outside.xml").symlink_to(elsewhere / "secret.xml")
    (folder / "nowhere.xml").symlink_to(folder / "gone")
    (folder / "round.xml").symlink_to(folder / "round.xml")
    os.mkfifo(folder / "fifo.xml")
    (folder / "folder.xml").mkdir()
    (folder / "empty.xml").touch()
    (folder / "deep.xml").write_bytes(b"<a>" * 240_000)
    with (folder / "giant.xml").open("wb") as file:
        file.truncate(100 * 1024 * 1024)
    (folder / "notes.txt").write_text("no document at all")
    dp = DataProtection("shop", repository=folder)
    protector = dp.create_protector("p")
    assert protector.unprotect(protector.protect("text")) == "text"
    assert f"key-{dp.current().protecting_key().id}" == good.name
    assert len(dp.current()) == 1
    named = {str(event["document"]) for event in events(caplog, "document_set_aside")}
    odd = {"outside", "nowhere", "round", "fifo", "folder", "empty", "deep", "giant"}
    assert {name.removesuffix(".xml") for name in named} == odd
    assert len(list(folder.iterdir())) >= 10  # nothing was removed


def _from_now(data: bytes) -> bytes:
    """A document with the dates of the tests, valid on any day."""
    return data.replace(b"<expirationDate>2027", b"<expirationDate>2999").replace(b"Date>2026", b"Date>2020")
