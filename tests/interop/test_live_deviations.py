"""Where we decide otherwise than ASP.NET Core, with both sides shown; docs/compatibility.md gives the reasons."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import pytest

from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import ConfigurationError, RevokedKeyError
from dpmiddleware.repositories.files import FileKeyRepository
from dpmiddleware.web.cookies.text import find
from tests.default_location.test_default_location import DECIDED_OTHERWISE
from tests.fakes import StoppedClock
from tests.interop.peer import CHECKOUT, Peer, PeerError

TEXT = (CHECKOUT / "docs" / "compatibility.md").read_text("utf-8")
PAGE = re.sub(r"\n## The frameworks' own tests\n.*?(?=\n## |\Z)", "", TEXT, flags=re.DOTALL)
"""Without the list that `tests/upstream` holds exact."""
ROW = re.compile(r"^\| (?!what |---)(?P<what>[^|]+) \|[^|]+\|[^|]+\| `(?P<test>[^`|]+)` \|$", re.MULTILINE)


def ours_in(folder: Path, clock: StoppedClock | None = None, *, auto_create_keys: bool = True) -> DataProtection:
    repository = FileKeyRepository(folder)
    return DataProtection("shop", repository=repository, clock=clock, auto_create_keys=auto_create_keys)


def the_file(folder: Path) -> Path:
    (file,) = folder.glob("*.xml")
    return file


def with_dtd(document: str) -> str:
    return f'<!DOCTYPE key [<!ENTITY e "x">]>{document}'


def with_instruction(document: str) -> str:
    return f"<?odd instruction?>{document}"


def too_large(document: str) -> str:
    return document.replace("<creationDate>", f"<extra>{'x' * 70_000}</extra><creationDate>", 1)


def too_deep(document: str) -> str:
    return document.replace("<creationDate>", f"{'<a>' * 40}{'</a>' * 40}<creationDate>", 1)


def too_many_attributes(document: str) -> str:
    return document.replace("<key ", "<key " + " ".join(f'a{n}="x"' for n in range(70)) + " ", 1)


@pytest.mark.parametrize("change", [with_dtd, with_instruction, too_large, too_deep, too_many_attributes])
def test_documents_that_nobody_writes_are_read_there_and_set_aside_here(
    change: Callable[[str], str], peer: Peer, tmp_path: Path
) -> None:
    ours_in(tmp_path).create_protector("p").protect(b"x")
    file = the_file(tmp_path)
    file.write_text(change(file.read_text("utf-8")), "utf-8")
    assert len(peer.folder(tmp_path, "shop", autoGenerate=False).list_keys()) == 1
    reading = ours_in(tmp_path).manager.read()
    assert reading.keys == ()
    assert [aside.name for aside in reading.set_aside] == [file.stem]


@pytest.mark.parametrize("date", ["12:00:00", "--11-22", "--11", "---22"])
def test_times_without_a_date_are_read_there_and_not_here(date: str, peer: Peer, tmp_path: Path) -> None:
    ours_in(tmp_path).create_protector("p").protect(b"x")
    file = the_file(tmp_path)
    file.write_text(re.sub("(?<=<creationDate>)[^<]*", date, file.read_text("utf-8")), "utf-8")
    assert len(peer.folder(tmp_path, "shop", autoGenerate=False).list_keys()) == 1
    assert ours_in(tmp_path).manager.read().keys == ()


def test_a_broken_file_fails_their_ring_and_is_set_aside_in_ours(peer: Peer, tmp_path: Path) -> None:
    payload = ours_in(tmp_path).create_protector("p").protect(b"x")
    (tmp_path / "other.xml").write_text("")
    with pytest.raises(PeerError):
        peer.folder(tmp_path, "shop", autoGenerate=False).list_keys()
    assert ours_in(tmp_path).create_protector("p").unprotect(payload) == b"x"


def test_a_pure_reader_whose_only_key_expired_goes_on_unprotecting_here(peer: Peer, tmp_path: Path) -> None:
    clock = StoppedClock(datetime.now(timezone.utc))
    clock.jump(days=-100)
    payload = ours_in(tmp_path, clock).create_protector("p").protect(b"x")
    with pytest.raises(PeerError):
        peer.folder(tmp_path, "shop", autoGenerate=False).unprotect(payload, "p")
    assert ours_in(tmp_path, auto_create_keys=False).create_protector("p").unprotect(payload) == b"x"


def test_a_revocation_is_seen_by_a_running_process_here_and_not_there(peer: Peer, tmp_path: Path) -> None:
    clock = StoppedClock(datetime.now(timezone.utc))
    running = ours_in(tmp_path, clock)
    protector = running.create_protector("p")
    payload = protector.protect(b"x")
    theirs = peer.folder(tmp_path, "shop", autoGenerate=False)
    assert theirs.unprotect(payload, "p") == b"x"
    other = ours_in(tmp_path)
    other.manager.revoke(next(key.id for key in other.manager.read().keys))
    assert theirs.unprotect(payload, "p") == b"x"
    clock.advance(seconds=3 * running.policy.poll.total_seconds())
    with pytest.raises(RevokedKeyError):
        protector.unprotect(payload)


def test_a_key_is_a_single_document_there_and_counts_once_here(peer: Peer, tmp_path: Path) -> None:
    payload = ours_in(tmp_path).create_protector("p").protect(b"x")
    file = the_file(tmp_path)
    (tmp_path / "copy.xml").write_bytes(file.read_bytes())
    with pytest.raises(PeerError, match="already exists"):
        peer.folder(tmp_path, "shop", autoGenerate=False).list_keys()
    assert ours_in(tmp_path).create_protector("p").unprotect(payload) == b"x"


def test_cookie_names_are_compared_exactly_here(peer: Peer) -> None:
    header = "__host-sid=1"
    assert peer.ask("cookies.join", name="__Host-sid", request=header)["value"] == "1"
    assert find(header.encode(), "__Host-sid") == []


def test_of_several_cookies_of_a_name_they_take_the_last_and_we_look_at_all(peer: Peer) -> None:
    header = "a=1; a=2"
    assert peer.ask("cookies.join", name="a", request=header)["value"] == "2"
    assert find(header.encode(), "a") == ["1", "2"]


def test_an_empty_application_name_is_none_there_and_an_error_here(peer: Peer) -> None:
    theirs = peer.documents([], "")
    payload = theirs.protect(b"x", "p")
    nameless = peer.documents(theirs.ask("store.documents")["documents"], autoGenerate=False)
    assert nameless.unprotect(payload, "p") == b"x"
    with pytest.raises(ConfigurationError):
        DataProtection("")


# --- the page -------------------------------------------------------------------------------------------------


def rows() -> list[re.Match[str]]:
    return list(ROW.finditer(PAGE))


def test_every_row_of_the_page_is_read_here() -> None:
    lines = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith(("| what", "| ---"))]
    assert len(rows()) == len(lines) > 10


@pytest.mark.parametrize("row", [pytest.param(row, id=row["what"].strip()) for row in rows()])
def test_every_row_names_a_test_that_is_there(row: re.Match[str]) -> None:
    file, _, name = row["test"].partition("::")
    text = (CHECKOUT / "tests" / file).read_text("utf-8")
    assert not name or re.search(rf"^(def {name}\(|{name}\b.* = )", text, re.MULTILINE), row["test"]


@pytest.mark.parametrize("case", sorted(DECIDED_OTHERWISE))
def test_every_home_decided_otherwise_is_on_the_page(case: str) -> None:
    assert any(case in row["what"] for row in rows())
