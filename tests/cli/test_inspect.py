"""``dpm inspect`` names the key of a payload in every form that cookies and links have it in."""

from __future__ import annotations

import base64
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from dpmiddleware import DataProtection
from dpmiddleware.cli import main
from dpmiddleware.protection import base64url


@pytest.fixture(autouse=True)
def ring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataProtection:
    monkeypatch.setenv("DPM_APPLICATION", "shop")
    monkeypatch.setenv("DPM_REPOSITORY", str(tmp_path / "keys"))
    return DataProtection("shop", repository=tmp_path / "keys")


def standard(payload: bytes) -> str:
    return base64.b64encode(payload).decode()


def url_safe(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


FORMS: dict[str, Callable[[bytes], str]] = {
    "as protect() returns it": base64url.encode,
    "base64url with padding": lambda payload: base64.urlsafe_b64encode(payload).decode(),
    "base64": standard,
    "ASP.NET Core's session: base64 without padding, percent-encoded": lambda p: quote(
        standard(p).rstrip("="), safe=""
    ),
    "base64 without padding": lambda payload: standard(payload).rstrip("="),
    "Identity's token in a link": lambda payload: quote_plus(standard(payload)),
    "percent-encoded twice": lambda payload: quote(quote(standard(payload), safe=""), safe=""),
    "Identity UI's code: base64url of the token": lambda payload: url_safe(standard(payload)).rstrip("="),
    "with padding": lambda payload: url_safe(standard(payload)),
    "base64url of base64url": lambda payload: url_safe(base64url.encode(payload)).rstrip("="),
    "a whole link": lambda p: f"https://shop.example/Account/ConfirmEmail?userId=7&code={quote_plus(standard(p))}&x=1",
    "a link of Identity UI": lambda p: f"https://shop.example/reset?code={url_safe(standard(p)).rstrip('=')}",
    "a Set-Cookie line": lambda p: f".AspNetCore.Session={quote(standard(p).rstrip('='), safe='')}; path=/; httponly",
    "a quoted value": lambda payload: f'"{base64url.encode(payload)}"',
    "with a line end": lambda payload: base64url.encode(payload) + "\n",
}


@pytest.mark.parametrize("form", FORMS)
def test_a_token_of_another_program_is_understood(
    form: str, ring: DataProtection, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only what `protect` returns was: "the text is not base64url" for a cookie copied from a browser."""
    protector = ring.create_protector("p")
    for size in (0, 16, 32, 100):
        payload = protector.protect(bytes(size))
        assert main(["inspect", FORMS[form](payload), "--json"]) == 0, size
        told = json.loads(capsys.readouterr().out)
        assert told["key_id"] == str(ring.current().keys[0].id)
        assert told["payload_bytes"] == len(payload)


@pytest.mark.parametrize(
    "text", ["", "abc", "CfDJ8", "CfDJ8N", "Q2ZESjg", "%", "%%%", "é", "a" * 100_000, "CfDJ8" * 30_000]
)
def test_what_is_not_a_payload_is_said_to_be_none(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", text]) == 1
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    assert "dpm: error: not a protected payload" in captured.err or "not in this ring" in captured.out


def test_bytes_on_standard_input_that_are_not_text_are_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff\xfe"), encoding="utf-8"))
    assert main(["inspect", "-"]) == 1
    assert "not a protected payload" in capsys.readouterr().err
