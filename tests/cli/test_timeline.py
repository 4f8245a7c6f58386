"""The drawing of ``dpm keys timeline``."""

from __future__ import annotations

import io
import json
import sys
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from dpmiddleware.cli import main
from dpmiddleware.cli.keys.timeline import ASCII, LINES, bar
from dpmiddleware.cli.ring import RingView
from dpmiddleware.crypto.encryptors import Algorithm, AuthenticatedEncryptor
from dpmiddleware.crypto.secret import Secret
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.instants import Instant
from dpmiddleware.keys.key import Key, Revocation

START = Instant.parse("2026-01-01T00:00:00Z")
DAYS = [START + timedelta(days=day) for day in range(11)]


def day(number: float) -> Instant:
    return START + timedelta(days=number)


def key(creation: float, activation: float, expiration: float, revoked: float | None = None) -> Key:
    encryptor = AuthenticatedEncryptor(Secret(b"any"), Algorithm.AES_256_GCM.value)
    revocation = None if revoked is None else Revocation(UUID(int=1), day(revoked), "")
    return Key(UUID(int=1), day(creation), day(activation), day(expiration), encryptor, revocation=revocation)


@pytest.mark.parametrize(
    ("lived", "now", "picture"),
    [
        pytest.param(key(0, 0, 10), 20, "==========", id="in force"),
        pytest.param(key(2, 4, 8), 20, "  ..====--", id="made, in force, expired"),
        pytest.param(key(2, 4, 8), 5.5, "  ..=|==--", id="now"),
        pytest.param(key(2, 4, 8, revoked=6), 20, "  ..=xxxxx", id="revoked"),
        pytest.param(key(2, 4, 8, revoked=1), 20, "  xxxxxxxx", id="revoked before it was made"),
    ],
)
def test_each_character_says_what_the_key_was_good_for(lived: Key, now: float, picture: str) -> None:
    assert bar(lived, DAYS, day(now)) == picture


def test_a_ring_is_drawn_with_a_row_a_key(
    tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path_factory.mktemp("ring")
    manager = DataProtection("shop", repository=folder).manager
    first, second = manager.create_key(), manager.create_key()
    assert (
        main(["keys", "timeline", "--application", "shop", "--repository", str(folder), "--width", "30", "--ascii"])
        == 0
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == ASCII.legend
    drawn = {line[:8]: line for line in lines[2:-1]}
    assert set(drawn) == {str(first)[:8], str(second)[:8]}
    assert "active, default" in drawn[str(first)[:8]]
    assert "=" * 20 in drawn[str(first)[:8]]


def test_a_wide_drawing_is_not_cut(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It was cut at 120 characters, with an ellipsis."""
    DataProtection("shop", repository=tmp_path).manager.create_key()
    command = ["keys", "timeline", "--ascii", "--application", "shop", "--repository", str(tmp_path), "--width", "300"]
    assert main(command) == 0
    assert "=" * 290 in capsys.readouterr().out


def test_a_ring_without_keys_says_so(
    tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path_factory.mktemp("empty")
    assert main(["keys", "timeline", "--application", "shop", "--repository", str(folder)]) == 1
    assert f"dpm: error: there is no key ring in {folder}\n" in capsys.readouterr().err


def test_the_last_twenty_keys_are_drawn_and_the_default_key_however_old(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manager = DataProtection("shop", repository=tmp_path).manager
    default = manager.create_key()
    revoked = [manager.create_key(activate_now=True) for _ in range(3)]
    for key_id in revoked[1:]:
        manager.revoke(key_id)
    for _ in range(20):
        manager.create_key()
    view = RingView.of(DataProtection("shop", repository=tmp_path))
    command = ["keys", "timeline", "--ascii", "--application", "shop", "--repository", str(tmp_path)]
    assert main(command) == 0
    *lines, more = capsys.readouterr().out.splitlines()
    drawn = [line[:8] for line in lines[2:-1]]
    assert len(drawn) == 21
    assert str(view.default)[:8] in drawn
    assert str(default)[:8] not in drawn
    assert more == f"not shown: {len(view.keys) - 21} older keys; use --all"
    assert main([*command, "--all"]) == 0
    assert len(capsys.readouterr().out.splitlines()) - 3 == len(view.keys)
    assert main([*command, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["keys"]) == len(view.keys), "a program reads all of them"


def test_it_is_as_wide_as_the_terminal_and_drawn_with_what_that_can_print(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = DataProtection("shop", repository=tmp_path).manager
    manager.revoke(manager.create_key())
    manager.create_key()
    command = ["keys", "timeline", "--application", "shop", "--repository", str(tmp_path)]
    for columns in ("70", "133"):
        monkeypatch.setenv("COLUMNS", columns)
        assert main(command) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[-1] == LINES.legend
        assert LINES.active * 30 in "".join(lines[2:-1])
        assert int(columns) - 12 < max(map(len, lines[2:-1])) <= int(columns)
    only_ascii = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", only_ascii)
    assert main(command) == 0
    only_ascii.seek(0)
    assert ASCII.legend in only_ascii.read()


def test_a_revoked_key_ends_and_now_is_marked_in_every_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manager = DataProtection("shop", repository=tmp_path).manager
    first = manager.create_key()
    manager.create_key()
    manager.revoke(first)
    assert main(["keys", "timeline", "--ascii", "--application", "shop", "--repository", str(tmp_path)]) == 0
    drawn = capsys.readouterr().out.splitlines()[2:-1]
    assert all("|" in line for line in drawn)
    assert any("xxxxx" in line and "revoked" in line for line in drawn)
