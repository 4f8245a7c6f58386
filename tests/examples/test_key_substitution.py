"""An attacker replaces a key with their own: a real server process, files on a disk, forged cookies."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dpmiddleware.cli import main as dpm
from dpmiddleware.telemetry import LOGGER
from example_apps.demo.process import ServerFailedError
from example_apps.key_substitution import command
from example_apps.key_substitution.on_the_blob import LETTERS
from example_apps.key_substitution.on_the_ring import NAME, PASSWORD
from example_apps.key_substitution.server import ArchiveServer
from example_apps.key_substitution.story import RUNS, Outcome, Run, tell
from example_apps.key_substitution.visitor import Visitor

BY_ID = {run.id: run for run in RUNS}


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """The command does not print the warnings of the package; neither do the tests."""
    handler = logging.NullHandler()
    LOGGER.addHandler(handler)
    yield
    LOGGER.removeHandler(handler)


def told(run_id: str, folder: Path) -> Outcome:
    return tell(BY_ID[run_id], folder / run_id, lambda line: None)


def test_with_a_planted_key_the_intruder_is_admin_and_reads_what_others_are_given(tmp_path: Path) -> None:
    outcome = told("ring", tmp_path)
    assert outcome.happened == "mallory is an administrator"
    assert outcome.facts == {"admin": True, "sealed_files": True, "read_by_intruder": NAME}


def test_with_a_trusted_signer_planted_keys_are_refused_each_reported_once_and_the_cookie_is_anonymous(
    tmp_path: Path,
) -> None:
    outcome = told("ring-signed", tmp_path)
    assert outcome.happened == "mallory is not signed in"
    assert (outcome.facts["admin"], outcome.facts["signed_in"]) == (False, None)
    assert outcome.facts["read_by_intruder"] is None
    reports: Any = outcome.facts["reports"]
    unsigned, self_signed = reports
    assert "the document is not signed" in unsigned
    assert "is not trusted" in self_signed


def test_a_blob_that_nobody_vouches_for_gives_everything_away(tmp_path: Path) -> None:
    outcome = told("blob", tmp_path)
    assert outcome.happened == "mallory reads the new letter"
    assert outcome.facts == {"read_by_intruder": LETTERS[1]}


def test_with_a_trusted_signer_a_foreign_blob_is_refused_signed_or_not_and_ours_still_opens(tmp_path: Path) -> None:
    outcome = told("blob-signed", tmp_path)
    assert outcome.happened == "the blob is refused, nothing is written"
    assert outcome.facts["kept"] == LETTERS[0]
    assert all("no trusted key signed the key blob" in refusal for refusal in outcome.facts["refusals"])  # type: ignore[attr-defined]  # a list of texts


def test_a_reader_is_no_administrator_and_a_guessed_password_signs_nobody_in(tmp_path: Path) -> None:
    from example_apps.key_substitution.on_the_ring import _set_up

    with ArchiveServer(tmp_path / "log", _set_up(tmp_path, lambda line: None, signed=False)) as server:
        assert Visitor(server).sign_in(NAME, "guessed").name is None
        ada = Visitor(server)
        assert ada.sign_in(NAME, PASSWORD).name == NAME
        assert not ada.open_sealed_files()


def test_a_server_that_does_not_start_says_what_its_log_says(tmp_path: Path) -> None:
    with (
        pytest.raises(ServerFailedError, match="KeyError: 'ARCHIVE_KEYS'"),
        ArchiveServer(tmp_path / "log", {"ARCHIVE_CERTIFICATE": "/no/such.pem"}),
    ):
        pass


def only(run_id: str, **changes: Any) -> tuple[Run, ...]:
    run = BY_ID[run_id]
    return (replace(run, **changes),)


def test_a_difference_is_exit_status_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(command, "RUNS", only("blob", expected="mallory reads nothing"))
    assert command.main([]) == 1
    *_, row = capsys.readouterr().out.splitlines()
    assert row.startswith(BY_ID["blob"].title)
    assert row.endswith("DIFFERENT")


def test_dpm_tells_it_in_words_and_as_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    module = pytest.importorskip("example_apps.key_substitution.command")
    monkeypatch.setattr(module, "RUNS", only("blob-signed"))
    assert dpm(["demo", "key-substitution"]) == 0
    captured = capsys.readouterr()
    assert "mallory signs the new blob with their own key" in captured.out
    assert captured.out.splitlines()[-1].endswith("  same")
    assert captured.err == ""
    assert dpm(["demo", "key-substitution", "--json"]) == 0
    (outcome,) = json.loads(capsys.readouterr().out)
    assert outcome["as_expected"]
    assert outcome["run"]["id"] == "blob-signed"
