"""What happens where a server cannot be had."""

from __future__ import annotations

import sys

import pytest

from tests import servers
from tests.conftest import need
from tests.servers import Server, Unavailable, find, free_port, new_folder


def unavailable() -> Server:
    raise Unavailable("not on this machine")


def test_a_server_that_cannot_be_had_is_a_skip_with_its_reason(
    pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DPM_REQUIRE_SERVERS", raising=False)
    with pytest.raises(pytest.skip.Exception, match="tape: not on this machine"):
        next(need(pytestconfig, "tape", unavailable))


def test_where_servers_are_required_it_is_a_failure(
    pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DPM_REQUIRE_SERVERS", "1")
    with pytest.raises(pytest.fail.Exception, match="tape: not on this machine"):
        next(need(pytestconfig, "tape", unavailable))


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(Unavailable, match=r"no-such-server.*make servers"):
        find("no-such-server", "`make servers` installs it")


def test_a_program_that_ends_at_once_is_not_waited_for_and_its_last_words_are_told() -> None:
    command = [sys.executable, "-c", "raise SystemExit('no licence')"]
    folder = new_folder("test")
    server = Server("tape", "", "", command, folder, ready=lambda: servers._http_answers(free_port()))
    with pytest.raises(Unavailable, match="no licence"):
        server.start()
    assert not folder.exists()
