"""What transcripts do not show: questions on a terminal, closed pipes, secrets that must not be printed."""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpmiddleware.cli import main
from dpmiddleware.cli.inspection import plaintext_sizes
from dpmiddleware.cli.keys.revoke import date
from dpmiddleware.cli.output import Console, table, without_secrets
from dpmiddleware.crypto.encryptors import Algorithm, AuthenticatedEncryptor, CbcHmac, Suite
from dpmiddleware.crypto.secret import Secret
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.instants import Instant

CHECKOUT = Path(__file__).parents[2]


class Terminal(io.StringIO):
    """Standard input that is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variables of the machine, an empty home folder, and a ring in ``keys``."""
    for name in ("DPM_KEY_WRAPPER", "DPM_SIGNER", "DPM_TRUSTED_SIGNERS", "DPM_RING"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DPM_APPLICATION", "shop")
    monkeypatch.setenv("DPM_REPOSITORY", str(tmp_path / "keys"))


def ring(tmp_path: Path) -> DataProtection:
    return DataProtection("shop", repository=tmp_path / "keys")


def only_key(tmp_path: Path) -> str:
    (key,) = ring(tmp_path).manager.read().keys
    return str(key.id)


@pytest.mark.parametrize(
    ("answer", "status"),
    [("y\n", 0), ("YES\n", 0), ("n\n", 1), ("\n", 1), ("", 1), ("yesterday\n", 1)],
    ids=["y", "yes", "n", "nothing", "end of input", "another word"],
)
def test_what_destroys_asks_and_only_yes_means_yes(
    answer: str, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ring(tmp_path).create_protector("p").protect("x")
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    assert main(["keys", "revoke", only_key(tmp_path)]) == status
    revoked = [key.revocation is not None for key in ring(tmp_path).manager.read().keys]
    assert sorted(revoked) == ([False, True] if status == 0 else [False])  # and a successor
    assert "[y/N]" in capsys.readouterr().err


def test_revoke_all_asks_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ring(tmp_path).create_protector("p").protect("x")
    monkeypatch.setattr(sys, "stdin", Terminal("no\n"))
    assert main(["keys", "revoke-all"]) == 1
    assert len(ring(tmp_path).manager.read().keys) == 1


def test_json_answers_are_one_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    token = ring(tmp_path).create_protector("p").protect("x")
    for command in (["keys", "list"], ["keys", "show", only_key(tmp_path)], ["inspect", token], ["check"]):
        main([*command, "--json"])
        json.loads(capsys.readouterr().out)


def test_no_verb_prints_a_master_key_or_what_a_user_protected(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    token = ring(tmp_path).create_protector("p").protect("the plaintext of a user")
    (file,) = (tmp_path / "keys").glob("*.xml")
    value = file.read_text().partition("<value>")[2].partition("</value>")[0]
    assert len(value) == 88
    for command in (["keys", "list"], ["keys", "show", only_key(tmp_path)], ["inspect", token], ["check"]):
        for flags in ([], ["--json"]):
            main([*command, *flags])
            captured = capsys.readouterr()
            assert value not in captured.out + captured.err
            assert "plaintext of a user" not in captured.out + captured.err


def test_a_pipe_that_closes_is_no_traceback(tmp_path: Path) -> None:
    for _ in range(3):
        ring(tmp_path).manager.create_key()
    command = f"{sys.executable} -m dpmiddleware keys list --json | head -c 1"
    done = subprocess.run(["sh", "-c", command], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert done.stdout == "{"
    assert "Traceback" not in done.stderr


def test_it_runs_as_a_module_with_its_exit_status() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dpmiddleware", "keys", "show", "none"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("dpm: error: ")


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["keys", "--help"], ["check", "--help"]])
def test_asking_for_help_is_no_wrong_usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    assert "dpm" in capsys.readouterr().out


@pytest.mark.parametrize("algorithm", list(Algorithm))
@given(plaintext=st.binary(max_size=200))
def test_the_size_of_a_payload_tells_the_size_of_its_plaintext(algorithm: Algorithm, plaintext: bytes) -> None:
    bound = AuthenticatedEncryptor(Secret(b"k" * 64), algorithm.value).bind(b"label", b"h" * 20)
    sizes = plaintext_sizes(algorithm.value, len(bound.encrypt(plaintext)))
    assert sizes is not None
    assert sizes[0] <= len(plaintext) <= sizes[1]


@pytest.mark.parametrize(
    ("suite", "size"),
    [
        pytest.param(CbcHmac(32, "sha256"), 99, id="no whole block"),
        pytest.param(CbcHmac(32, "sha256"), 84, id="no block at all"),
        pytest.param(Algorithm.AES_256_GCM.value, 63, id="shorter than nothing"),
        pytest.param(CbcHmac(24, "sha1", "3DES"), 20 + 16 + 8 + 20, id="triple DES without a block"),
    ],
)
def test_a_size_that_no_payload_has_is_said_to_be_none(suite: Suite, size: int) -> None:
    assert plaintext_sizes(suite, size) is None


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-11-22", "2026-11-22T00:00:00Z"),
        ("2026-11-22 10:30:00", "2026-11-22T10:30:00Z"),
        ("2026-11-22T10:30:00.1234567Z", "2026-11-22T10:30:00.1234567Z"),
        ("2026-11-22T10:30:00+02:00", "2026-11-22T08:30:00Z"),
        ("2026-11-22 10:30:00-05:00", "2026-11-22T15:30:00Z"),
    ],
)
def test_a_date_without_a_zone_is_utc(text: str, instant: str) -> None:
    assert date(text) == Instant.parse(instant)


@pytest.mark.parametrize("text", ["", "soon", "22.11.2026", "2026-13-01", "2026-11-22T25:00:00", "2026-11-22T10:30"])
def test_what_is_no_date_is_wrong_usage(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        date(text)


def test_text_from_a_store_cannot_move_the_cursor() -> None:
    out = io.StringIO()
    Console(messages=out).error("lost \x1b[2J\r\nlaptop")
    assert out.getvalue() == "dpm: error: lost \\x1b[2J\\r\\nlaptop\n"
    assert table(("A",), [("\x1b[2J",)]) == ["A", "\\x1b[2J"]


def test_passwords_in_urls_are_left_out_of_any_message() -> None:
    text = "cannot reach postgresql://shop:hunter2@db/keys?sslpassword=hunter2 (refused)"
    assert without_secrets(text) == "cannot reach postgresql://shop:***@db/keys?sslpassword=*** (refused)"
