"""``dpm keys rotate --if-due`` in a job: its exit status reports a failure."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from dpmiddleware.at_rest.secret_key import SecretKeyWrapper
from dpmiddleware.cli import main
from dpmiddleware.repositories.files import FileKeyRepository
from tests.fakes import key_document, put

OLD, NEW = ("secret:env:DPM_TEST_OLD_SECRET", "secret:env:DPM_TEST_NEW_SECRET")


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The job on a ring whose key expires tomorrow. New keys are wrapped with another secret than the old one."""
    monkeypatch.setenv("DPM_TEST_OLD_SECRET", "11" * 32)
    key = key_document(
        datetime.now(timezone.utc),
        created=-timedelta(days=89),
        expires=timedelta(days=1),
        wrapper=SecretKeyWrapper.from_url(OLD),
    )
    put(FileKeyRepository(tmp_path), key)
    ring = ["--application", "shop", "--repository", str(tmp_path), "--key-wrapper", NEW, "--key-wrapper", OLD]
    return ["keys", "rotate", "--if-due", *ring]


def test_a_key_that_is_due_is_made_and_the_next_date_told(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DPM_TEST_NEW_SECRET", "22" * 32)
    assert main(command) == 0
    assert capsys.readouterr().out.startswith("created ")
    assert main([*command, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["made"], answer["problem"]) == (None, "")
    assert timedelta(days=86) < datetime.fromisoformat(answer["next_due"]) - datetime.now(timezone.utc)
    assert len(list(tmp_path.glob("key-*.xml"))) == 2


def test_a_key_that_is_due_and_cannot_be_made_is_exit_status_1(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The new secret is missing: members continue with the old key, and the job fails."""
    assert main([*command, "--json"]) == 1
    captured = capsys.readouterr()
    assert json.loads(captured.out)["made"] is None
    assert "dpm: error: a key is due but was not created" in captured.err
    assert len(list(tmp_path.glob("key-*.xml"))) == 1
