"""Events, counters, and what must never be in them."""

from __future__ import annotations

import ast
import logging
import re
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

import dpmiddleware
from dpmiddleware import telemetry
from dpmiddleware.errors import NoUsableKeyError, RepositoryError, UnprotectError
from dpmiddleware.protection.serializer import ProtectedSerializer
from dpmiddleware.web.answer import unavailable
from tests.fakes import (
    StoppedClock,
    data_protection,
    events,
    key_document,
    put,
    reset_telemetry,
    revocation_document,
    ring_of,
    take_away,
)

PACKAGE = Path(dpmiddleware.__file__).parent


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing has been counted or logged yet."""
    reset_telemetry(monkeypatch)


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The clock for the intervals between lines. Its only element is the time."""
    now = [100.0]
    monkeypatch.setattr(telemetry, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def refuse(reason: str = "tampered", **fields: str) -> None:
    said = {"key_id": "", "ring": "shop", "where": "sid", **fields}
    telemetry.refused(reason, key_id=said["key_id"] or None, ring=said["ring"], where=said["where"])


def test_an_event_is_one_record_with_its_fields(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "dpmiddleware"):
        telemetry.emit("key_created", "info", key_id="a-b-c", location="redis://host/0", keys=3)
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("dpmiddleware", "INFO")
    (event,) = events(caplog, "key_created")
    assert (event["key_id"], event["location"], event["keys"]) == ("a-b-c", "redis://host/0", 3)
    assert record.getMessage() == "key_created key_id=a-b-c location=redis://host/0 keys=3"
    assert telemetry.counts() == {("key_created", ""): 1}


def test_texts_from_elsewhere_make_no_second_line(caplog: pytest.LogCaptureFixture) -> None:
    telemetry.emit("document_set_aside", "error", document="key\nERROR forged", problem="\x1b[2J", location="x" * 1000)
    refuse(where="sid\r\nforged", ring="\u2028")
    assert all(record.getMessage().isprintable() for record in caplog.records)
    assert all(len(record.getMessage()) < 1000 for record in caplog.records)


def test_refusals_are_counted_all_and_logged_once_in_ten_seconds(
    caplog: pytest.LogCaptureFixture, seconds: list[float]
) -> None:
    """Forged cookies cannot fill a disk; the next line says how many were left out."""
    for _ in range(1_000):
        refuse()
    seconds[0] += 9.9
    refuse()
    assert len(caplog.records) == 1
    seconds[0] += 0.1
    refuse()
    assert len(caplog.records) == 2
    assert "1000 more" in caplog.records[1].getMessage()
    assert [event["suppressed"] for event in events(caplog, "unprotect_refused")] == [0, 1000]
    assert telemetry.counts()["unprotect_refused", "tampered"] == 1_002


def test_each_reason_has_a_line_of_its_own(caplog: pytest.LogCaptureFixture, seconds: list[float]) -> None:
    for _ in range(3):
        refuse("tampered")
        refuse("unknown_key", key_id="0c819c80-6619-4019-9536-53f8aaffee57")
    assert [event["reason"] for event in events(caplog, "unprotect_refused")] == ["tampered", "unknown_key"]
    assert events(caplog, "unprotect_refused")[1]["key_id"] == "0c819c80-6619-4019-9536-53f8aaffee57"


def test_an_outage_is_logged_once_in_ten_seconds_and_not_by_every_request(
    caplog: pytest.LogCaptureFixture, seconds: list[float]
) -> None:
    """One ERROR line per request filled the disk while the store was away."""
    for _ in range(500):
        unavailable(RepositoryError("cannot read redis://host/0"))
        unavailable(NoUsableKeyError("no key protects"))
    assert [event["code"] for event in events(caplog, "unavailable")] == ["repository", "no_usable_key"]
    seconds[0] += 10
    unavailable(RepositoryError("cannot read redis://host/0"))
    assert [event["suppressed"] for event in events(caplog, "unavailable")] == [0, 0, 499]
    assert caplog.records[-1].getMessage().endswith("code=repository (499 more)")
    assert telemetry.counts()["unavailable", ""] == 1_001


def test_no_thread_is_left_out_of_the_count() -> None:
    logging.getLogger("dpmiddleware").setLevel(logging.CRITICAL)

    def work() -> None:
        for _ in range(500):
            refuse()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    logging.getLogger("dpmiddleware").setLevel(logging.NOTSET)
    assert telemetry.counts()["unprotect_refused", "tampered"] == 4_000


NOT_FIELDS = {None, "level", "message", "hint"}


def emitted() -> dict[str, set[str]]:
    """The events that the package's source emits, each with the names of its fields."""
    found: dict[str, set[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name | ast.Attribute):
                continue
            name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
            if name == "emit" and node.args and isinstance(node.args[0], ast.Constant):
                fields = {keyword.arg for keyword in node.keywords if keyword.arg not in NOT_FIELDS}
                found.setdefault(str(node.args[0].value), set()).update(str(field) for field in fields)
    return found


def documented() -> dict[str, set[str]]:
    """The table of the module's docstring."""
    rows = re.findall(r"^([a-z_]+) +(?:DEBUG|INFO|WARNING|ERROR) +(.*)$", telemetry.__doc__ or "", re.MULTILINE)
    return {name: set(re.findall(r"[a-z_]+", re.sub(r"\([^)]*\)", "", fields))) for name, fields in rows}


def test_every_event_that_is_emitted_is_in_the_table_with_its_fields() -> None:
    table = documented()
    assert {name: fields for name, fields in emitted().items() if not fields <= table.get(name, set())} == {}


def test_every_event_of_the_table_is_emitted() -> None:
    """The three others have a function of their own, or share a call."""
    elsewhere = {"unprotect_refused", "document_refused", "document_set_aside"}
    assert set(documented()) - set(emitted()) == elsewhere


def test_no_event_and_no_error_holds_a_secret(caplog: pytest.LogCaptureFixture) -> None:
    """A canary as plaintext, as master key and in a payload, through everything that can go wrong."""
    caplog.set_level(logging.DEBUG)
    clock, document = StoppedClock(), key_document()
    store = ring_of(document)
    dp = data_protection(store, clock)
    protector = dp.create_protector("p")
    canaries = ["canary-in-the-plaintext"]
    token = protector.protect(canaries[0])
    encryptor = dp.current().protecting_key().encryptor
    assert encryptor is not None
    master_key = encryptor._secret.reveal()
    canaries += [
        master_key.hex(),
        repr(master_key)[2:20],
        document.data.decode().split("<value>")[1][:40],
        token[30:70],
    ]
    said = []
    attempts = [token[:-8] + "A" * 8, token + "A", "x" + token, token[:20], "CfDJ8" + "A" * 100, token.upper()]
    for attempt in attempts:
        try:
            protector.unprotect(attempt)
        except UnprotectError as error:
            telemetry.refused(error.code, key_id=error.key_id, ring="shop", where="sid")
            said.append(f"{error} {error!r} {error.hint} {vars(error)}")
    ProtectedSerializer(dp).loads_unsafe(token)
    put(store.inner, revocation_document(dp.current().protecting_key().id))
    clock.advance(seconds=11)
    with pytest.raises(UnprotectError) as revoked:
        protector.unprotect(token)
    said.append(f"{revoked.value} {vars(revoked.value)}")
    take_away(store.inner)
    clock.advance(days=2)
    said.append(f"{dp.health()} {dp.current()!r} {dp!r} {protector!r} {store.inner.read()!r}")
    logged = " ".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)
    assert len(said) == len(attempts) + 2
    assert caplog.records
    for canary in canaries:
        assert canary not in logged
        assert not any(canary in text for text in said)
