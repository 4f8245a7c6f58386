"""Long work says how far it has come, and ^C says what is done; a real process is interrupted."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple

import pytest

from dpmiddleware.at_rest.secret_key import SecretKeyWrapper
from dpmiddleware.cli import main
from dpmiddleware.cli.progress import Progress
from dpmiddleware.repositories.files import FileKeyRepository
from tests.fakes import DAY, key_document, put

SECRETS = {"OLD_SECRET": "11" * 32, "NEW_SECRET": "22" * 32}
OLD, NEW = "secret:env:OLD_SECRET", "secret:env:NEW_SECRET"
KEYS = 20


# --- what is printed --------------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Case(NamedTuple):
    out: io.StringIO
    wanted: bool
    printed: str


PRINTED = {
    "a file": Case(io.StringIO(), False, ""),
    "a file, with --progress": Case(io.StringIO(), True, "3 of 10,000 keys\n5 of 10,000 keys\n"),
    "a terminal": Case(Terminal(), False, "\r3 of 10,000 keys\r5 of 10,000 keys\r                \r"),
}


@pytest.mark.parametrize("case", PRINTED.values(), ids=PRINTED)
def test_progress_is_for_terminals_and_not_for_fast_work(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("dpmiddleware.cli.progress.time.monotonic", lambda: now)
    progress = Progress(case.out, wanted=case.wanted)
    for done, now in ((1, 0.1), (2, 0.9), (3, 1.1), (4, 1.2), (5, 1.7)):  # noqa: B007 (read by the clock)
        progress.at(done, 10_000, "keys")
    progress.clear()
    assert case.out.getvalue() == case.printed


def test_a_shorter_line_covers_a_longer_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dpmiddleware.cli.progress._PATIENCE", 0)
    monkeypatch.setattr("dpmiddleware.cli.progress._PAUSE", 0)
    out = Terminal()
    progress = Progress(out)
    progress.at(10, 10, "documents read")
    progress.at(1, 10, "keys")
    assert out.getvalue() == "\r10 of 10 documents read\r1 of 10 keys           "


def test_progress_never_goes_where_the_result_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("dpmiddleware.cli.progress._PATIENCE", 0)
    store = FileKeyRepository(tmp_path / "keys")
    put(store, key_document())
    assert main(["keys", "list", "--repository", store.location, "--progress"]) == 0
    out, err = capsys.readouterr()
    assert err == "0 of 1 documents read\n"
    assert "documents read" not in out


# --- interrupted ------------------------------------------------------------------------------------------------------

SLOW = """
import signal
import sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs, and all below them, ignore it

from dpmiddleware.cli import main
from dpmiddleware.keys import maintenance
from dpmiddleware.repositories.files import FileKeyRepository

CALL, NUMBER = sys.argv.pop(1), int(sys.argv.pop(1))
maintenance._FIRST_COPIED = 1
real, calls = getattr(FileKeyRepository, CALL), iter(range(1000))

def call(*arguments, **named):
    if next(calls) == NUMBER:
        print("waiting", flush=True)
        sys.stdin.readline()
    return real(*arguments, **named)

setattr(FileKeyRepository, CALL, call)
sys.exit(main())
"""
"""``dpm``, with a call of the store that waits for a line of standard input."""


def interrupted(call: str, number: int, *words: str) -> tuple[int, str]:
    """Send SIGINT while ``dpm`` is in a call of its store; the exit status, and what it said."""
    command = [sys.executable, "-c", SLOW, call, str(number), *words]
    environment = {**os.environ, **SECRETS, "DPM_APPLICATION": "shop", "DPM_KEY_WRAPPER": OLD}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate("\n", timeout=60)
        return process.returncode, said


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FileKeyRepository:
    for name, value in {**SECRETS, "DPM_APPLICATION": "shop", "DPM_KEY_WRAPPER": OLD}.items():
        monkeypatch.setenv(name, value)
    store, now, wrapper = (
        FileKeyRepository(tmp_path / "keys"),
        datetime.now(timezone.utc),
        SecretKeyWrapper.from_url(OLD),
    )
    put(store, *(key_document(now, created=-n * DAY, wrapper=wrapper) for n in range(KEYS)))
    return store


def test_a_copy_ends_after_the_step_it_is_in_and_goes_on_when_run_again(
    store: FileKeyRepository, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = FileKeyRepository(tmp_path / "copy")
    words = ["keys", "copy", "--repository", store.location, "--to", target.location]
    status, said = interrupted("commit", 2, *words)
    done = f"copied 7 of {KEYS} documents to {target.location}"
    assert (status, said) == (130, f"dpm: stopped by ^C: {done}; run the same command again to go on\n")
    assert len(target.read().documents) == 7, "1, 2, and the 4 of the step in progress"
    assert main(words) == 0
    assert (
        f"copied {KEYS - 7} documents to {target.location}; 7 documents were already there" in capsys.readouterr().out
    )
    assert len(target.read().documents) == KEYS


def test_a_rewrap_ends_after_the_step_it_is_in_and_goes_on_when_run_again(
    store: FileKeyRepository, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["keys", "rewrap", "--repository", store.location, "--to", NEW]
    status, said = interrupted("commit", 2, *words)
    done = f"rewrapped 7 of {KEYS} keys in {store.location}"
    assert (status, said) == (130, f"dpm: stopped by ^C: {done}; run the same command again to go on\n")
    assert main(words) == 0
    assert f"rewrapped {KEYS - 7} keys in {store.location}; already rewrapped: 7" in capsys.readouterr().out


def test_nothing_was_changed_if_the_ring_was_only_read(store: FileKeyRepository) -> None:
    status, said = interrupted("read", 0, "keys", "list", "--repository", store.location)
    assert (status, said) == (130, "dpm: stopped by ^C: nothing was changed\n")


def test_a_change_that_is_interrupted_may_have_been_made(store: FileKeyRepository) -> None:
    status, said = interrupted("commit", 0, "keys", "create", "--repository", store.location)
    assert (status, said) == (130, "dpm: stopped by ^C: `dpm keys list` shows whether the change was made\n")


@pytest.mark.parametrize(
    ("stopped", "said"),
    [
        ("", "no step is done (the one in progress may be done, too)"),
        ("copied 3 of 9 documents", "copied 3 of 9 documents (the step in progress may be done, too)"),
    ],
)
def test_a_second_interrupt_does_not_wait_for_the_step(stopped: str, said: str) -> None:
    progress = Progress(io.StringIO())
    progress.stopped = stopped
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), progress.whole_steps():
        signal.raise_signal(signal.SIGINT)
        assert progress.stopped == stopped
        signal.raise_signal(signal.SIGINT)
    assert progress.stopped == said
    assert signal.getsignal(signal.SIGINT) is before
