"""How the tests find the ASP.NET Core program, and what they say where it is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interop import peer


@pytest.fixture(autouse=True)
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with nothing beside it."""
    monkeypatch.delenv("DPM_ASPNET_PEER", raising=False)
    monkeypatch.setattr(peer, "CHECKOUT", tmp_path / "checkout")
    return tmp_path / "checkout"


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_where_there_is_none_nothing_is_found_and_the_reason_says_how_to_have_one() -> None:
    assert peer.find_peer() is None
    assert "DPM_ASPNET_PEER" in peer.ABSENT


def test_a_sibling_folder_of_the_checkout_is_found(checkout: Path) -> None:
    beside = program(checkout.parent / "shared" / "aspnet-peer" / "run")
    assert peer.find_peer() == str(beside)


def test_the_variable_comes_first(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(checkout.parent / "shared" / "aspnet-peer" / "run")
    named = program(tmp_path / "elsewhere" / "aspnet-peer")
    monkeypatch.setenv("DPM_ASPNET_PEER", str(named))
    assert peer.find_peer() == str(named)


def test_a_variable_that_names_nothing_is_an_error_and_no_skip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DPM_ASPNET_PEER", "/nowhere/aspnet-peer")
    with pytest.raises(FileNotFoundError, match="DPM_ASPNET_PEER"):
        peer.find_peer()


def test_a_peer_that_ends_is_an_error_and_no_hang(tmp_path: Path) -> None:
    with peer.Peer(str(program(tmp_path / "ends"))) as running, pytest.raises(RuntimeError, match="ended"):
        running.ask("version")
