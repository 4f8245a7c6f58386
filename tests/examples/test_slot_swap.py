"""The slot swap with real server processes, a reverse proxy and a cookie jar.

Failure story 8: swap and swap back; the old and the new version answer the same user alternately.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from example_apps.demo.process import ServerFailedError
from example_apps.slot_swap import command
from example_apps.slot_swap.page import shop_page
from example_apps.slot_swap.serve import open_control_room
from example_apps.slot_swap.slot import Slot
from example_apps.slot_swap.story import NAME, PASSWORD, RUNS, Outcome, Run, open_farm, tell
from example_apps.slot_swap.visitor import Visitor
from tests.servers import wait_for

ROOT = Path(__file__).parents[2]
OWN = [run for run in RUNS if not run.shared]
SHARED = [run for run in RUNS if run.shared]


def told(run: Run, folder: Path) -> Outcome:
    return tell(run, folder, lambda line: None)


@pytest.mark.parametrize("run", OWN, ids=lambda run: run.id)
def test_with_a_ring_in_each_slot_the_other_slot_logs_out_and_its_log_says_why(run: Run, tmp_path: Path) -> None:
    outcome = told(run, tmp_path)
    assert outcome.happened == run.expected
    key = outcome.answers[0].cookie_key
    assert key in outcome.keys["production"]
    assert key not in outcome.keys["staging"]
    assert outcome.refusals
    for line in outcome.refusals:
        assert f"reason=unknown_key key_id={key} ring=plants where=session" in line


@pytest.mark.parametrize("run", SHARED, ids=lambda run: run.id)
def test_with_one_ring_for_both_slots_nobody_is_logged_out(run: Run, tmp_path: Path) -> None:
    outcome = told(run, tmp_path)
    assert outcome.happened == run.expected
    assert outcome.refusals == []
    assert outcome.keys == {"shared": [outcome.answers[0].cookie_key]}, "two slots that start at once make one key"


def test_both_versions_answer_when_they_serve_in_turn(tmp_path: Path) -> None:
    (in_turn,) = [run for run in SHARED if run.in_turn]
    versions = [answer.version for answer in told(in_turn, tmp_path).answers[1:]]
    assert versions == ["1.0", "2.0"] * 3


def test_swapped_back_the_visitor_is_signed_in_again(tmp_path: Path) -> None:
    """A cookie that another slot may open is not deleted."""
    with open_farm(tmp_path, shared=False) as farm:
        visitor = Visitor(farm.front.url)
        assert visitor.sign_in(NAME, PASSWORD).signed_in
        farm.front.swap()
        assert not visitor.come_back().signed_in
        farm.front.swap()
        assert visitor.come_back().signed_in


def test_a_slot_keeps_its_keys_where_the_documentation_says(tmp_path: Path) -> None:
    """%HOME%/ASP.NET/DataProtection-Keys, one folder a slot, not encrypted at rest."""
    with open_farm(tmp_path, shared=False) as farm:
        Visitor(farm.front.url).sign_in(NAME, PASSWORD)
        (file,) = (tmp_path / "production" / "ASP.NET" / "DataProtection-Keys").glob("key-*.xml")
        assert "<masterKey" in file.read_text("utf-8")


def test_signing_in_takes_the_password_and_signing_out_ends_it(tmp_path: Path) -> None:
    with open_farm(tmp_path, shared=True) as farm:
        visitor = Visitor(farm.front.url)
        with pytest.raises(urllib.error.HTTPError, match="403"):
            visitor.sign_in(NAME, "guessed")
        assert not visitor.come_back().signed_in
        assert visitor.sign_in(NAME, PASSWORD).signed_in_as == NAME
        assert not visitor.sign_out().signed_in
        assert not list(visitor.jar)


def test_the_server_processes_end_with_the_farm(tmp_path: Path) -> None:
    with open_farm(tmp_path, shared=True) as farm:
        ports = [farm.production.port, farm.staging.port]
    for port in ports:
        with pytest.raises(urllib.error.URLError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/who", timeout=5)


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="no /proc: children of a process cannot be listed")
def test_the_server_processes_end_even_if_the_program_is_killed(tmp_path: Path) -> None:
    command_line = [sys.executable, "-m", "example_apps.slot_swap.command", "--serve"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(command_line, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment) as program:
        assert program.stdout is not None
        while "open http://" not in (line := program.stdout.readline()):
            assert line, "it ended by itself"
        threads = Path(f"/proc/{program.pid}/task").glob("*/children")
        slots = [Path("/proc", child) for thread in threads for child in thread.read_text("ascii").split()]
        assert len(slots) == 4
        program.kill()
    wait_for("the slots to end", lambda: not [slot for slot in slots if is_running(slot)])


def is_running(process: Path) -> bool:
    """Nobody may be there to collect what is left of a child: a zombie runs no more."""
    try:
        return process.joinpath("stat").read_text("ascii", "replace").rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_slot_that_does_not_start_says_what_its_log_says(tmp_path: Path) -> None:
    broken = Slot("production", "1.0", tmp_path, {"PLANTS_KEYS": "rediss//nowhere?", "PLANTS_COOKIE": "no cookie name"})
    with pytest.raises(ServerFailedError, match="ConfigurationError"), broken:
        pass


def test_a_request_that_fails_says_what_the_logs_say(tmp_path: Path) -> None:
    with open_farm(tmp_path, shared=True) as farm:
        farm.production.stop()
        with pytest.raises(ServerFailedError, match="502"), farm.logs_in_errors():
            Visitor(farm.front.url).come_back()


def test_a_difference_from_the_documentation_is_exit_status_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    claim = Run("swap-own", "swap, each slot its own ring", "still signed in", shared=False, in_turn=False)
    monkeypatch.setattr(command, "RUNS", [claim])
    assert command.main([]) == 1
    *_, row = capsys.readouterr().out.splitlines()
    assert row.split("  ")[0] == claim.title
    assert row.endswith("DIFFERENT")


def test_the_outcomes_can_be_had_as_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(command, "RUNS", SHARED[:1])
    assert command.main(["--json"]) == 0
    (outcome,) = json.loads(capsys.readouterr().out)
    assert outcome["as_expected"]
    assert outcome["run"]["id"] == SHARED[0].id


def test_in_the_browser_one_swap_moves_both_farms_and_the_page_tells_what_came_of_it(tmp_path: Path) -> None:
    with open_control_room(tmp_path) as url:
        own, shared = (Visitor(state["url"]) for state in state_of(url))
        assert own.sign_in(NAME, PASSWORD).signed_in
        assert shared.sign_in(NAME, PASSWORD).signed_in
        urllib.request.urlopen(urllib.parse.urljoin(url, "swap"), b"", timeout=30).read()
        assert not own.come_back().signed_in
        assert shared.come_back().signed_in
        own_state, shared_state = state_of(url)
        assert own_state["production"] == shared_state["production"] == "2.0"
        assert "unknown_key" in own_state["log"][0]
        assert shared_state["log"] == []


def state_of(url: str) -> list[dict[str, Any]]:
    with urllib.request.urlopen(urllib.parse.urljoin(url, "state"), timeout=30) as response:
        state: list[dict[str, Any]] = json.load(response)
    return state


def test_the_page_escapes_what_it_shows() -> None:
    page = shop_page(name="<script>", slot="<b>", version="<i>", cookie="<u>", problem="")
    assert not [tag for tag in ("<script>", "<i>", "<u>") if tag in page]
    assert "Good to see you, &lt;script&gt;." in page
