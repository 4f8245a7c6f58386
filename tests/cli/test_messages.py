"""Messages are written for a terminal: options instead of arguments, questions with a place and a consequence."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from dpmiddleware.cli import main
from dpmiddleware.cli.check import NOT_SEEN
from dpmiddleware.cli.option_names import as_options
from dpmiddleware.cli.output import Console
from dpmiddleware.data_protection import SETTINGS, DataProtection
from tests.cli.test_cli import Terminal

WRITTEN = {
    "set key_wrapper= as in the other members": "set --key-wrapper as in the other members",
    "check trusted_signers=, ring= and key_wrapper=; no": "check --trusted-signer, --ring and --key-wrapper; no",
    'pass ring="shop", the same name': 'pass --ring "shop", the same name',
    "repository='nosuch://host' has": "--repository 'nosuch://host' has",
    "or set auto_create_keys=False here": "or set DPM_AUTO_CREATE_KEYS=false here",
    "add the wrapper to key_wrapper=": "add the wrapper to --key-wrapper",
    "payload refused ring=shop where=session": "payload refused ring=shop where=session",
    "redis://host/0?ring='x'": "redis://host/0?ring='x'",
    "x509:///tls.crt?key=/tls.key": "x509:///tls.crt?key=/tls.key",
    "until= the day, until='x'": "until= the day, until='x'",
}


@pytest.mark.parametrize("text", WRITTEN)
def test_a_setting_is_written_as_its_option(text: str) -> None:
    assert as_options(text) == WRITTEN[text]


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_has_an_option_or_a_variable(name: str) -> None:
    assert as_options(f"set {name}=True").startswith(("set --", "set DPM_"))


def test_an_error_of_the_package_names_the_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for ring in ("shop", "blog"):
        DataProtection(ring, repository=tmp_path / ring).create_protector("p").protect("x")
    place = ["--application", "shop", "--repository", str(tmp_path / "shop")]
    assert main(["check", *place, "--against", str(tmp_path / "blog")]) == 1
    assert main(["keys", "create", *place]) == 0
    assert "configure --key-wrapper" in capsys.readouterr().err


# --- questions --------------------------------------------------------------------------------------------------------


@pytest.fixture
def ring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataProtection:
    """Three keys, and an operator who says no."""
    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    dp = DataProtection("shop", repository=tmp_path / "keys")
    for _ in range(3):
        dp.manager.create_key(activate_now=True)
    return dp


def asked(*words: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["keys", *words, "--application", "shop", "--repository", str(folder)]) == 1
    return capsys.readouterr().err.splitlines()[-1].partition(" [y/N] ")[0]


def test_the_question_names_the_place_and_the_consequence(
    ring: DataProtection, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, key = tmp_path / "keys", ring.manager.read().keys[0].id
    before = ring.repository.version()
    question = asked("revoke-all", folder=folder, capsys=capsys)
    assert question == f"revoke 3 keys in {folder}: signs out everybody whose cookie is under these 3 keys"
    question = asked("revoke", str(key), folder=folder, capsys=capsys)
    assert question.startswith(f"revoke {key} (active")
    assert question.endswith(f") in {folder}: signs out everybody whose cookie is under this key")
    assert ring.repository.version() == before


def test_a_question_does_not_show_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    messages = io.StringIO()
    assert Console(messages=messages).confirmed("revoke 3 keys in redis://:hunter2@db/0", "signs out", yes=False)
    assert messages.getvalue() == "revoke 3 keys in redis://:***@db/0: signs out [y/N] "


# --- the standing note ------------------------------------------------------------------------------------------------


def test_the_standing_note_is_printed_once_per_ring(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    def said(*words: str) -> bool:
        main(["check", *words])
        return NOT_SEEN in capsys.readouterr().out

    shop = ["--repository", str(tmp_path / "keys"), "--application", "shop"]
    assert [said(*shop), said(*shop), said(*shop)] == [True, False, False]
    assert said(*shop, "--ring", "blog")
    assert said("--repository", str(tmp_path / "other"), "--application", "shop")
    assert said(*shop, "--json"), "for a program, the result does not depend on what was said before"


def test_a_note_that_cannot_be_remembered_is_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    for _ in range(2):
        main(["check", "--repository", str(tmp_path / "keys"), "--application", "shop"])
        assert NOT_SEEN in capsys.readouterr().out
