"""A log record begins with the name of its event, carries a hint, and does not repeat a long reason."""

from __future__ import annotations

import ast
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import dpmiddleware
from dpmiddleware import DataProtection, repeats, telemetry
from dpmiddleware.cli import main
from dpmiddleware.errors import KeyUnwrapError, MalformedDocumentError, RepositoryError, UnprotectError
from dpmiddleware.events import HINTS, HINTS_ON_REFUSALS, NOTHING
from dpmiddleware.web.answer import unavailable
from tests.at_rest.key_vault_double import rsa_key, self_signed
from tests.every_error import ERRORS
from tests.fakes import StoppedClock, WatchedRepository, data_protection, events
from tests.test_telemetry import documented


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing has been logged yet, and everything is."""
    monkeypatch.setattr(telemetry, "_last_line", {})
    caplog.set_level(logging.INFO, "dpmiddleware")


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "dpmiddleware"]


# --- the name of the event ----------------------------------------------------------------------------------------


def test_a_record_begins_with_the_name_of_its_event(caplog: pytest.LogCaptureFixture) -> None:
    telemetry.emit("ring_stale", "error", "the ring is stale", seconds=31, location="redis://h/0")
    telemetry.emit("key_pruned", "info", key_id="a-b", location="redis://h/0")
    telemetry.refused("tampered", key_id=None, ring="shop", where="sid")
    assert lines(caplog) == [
        "ring_stale: the ring is stale seconds=31 location=redis://h/0",
        "key_pruned key_id=a-b location=redis://h/0",
        "unprotect_refused: payload refused reason=tampered ring=shop where=sid",
    ]
    assert [telemetry.text_of(record) for record in caplog.records] == [
        "the ring is stale seconds=31 location=redis://h/0",
        "key pruned key_id=a-b location=redis://h/0",
        "payload refused reason=tampered ring=shop where=sid",
    ]


# --- the hint -----------------------------------------------------------------------------------------------------


def test_every_event_has_a_hint_unless_it_is_mere_information() -> None:
    """What an operator has asked for, such as a revocation, is information too."""
    levels = dict(re.findall(r"^([a-z_]+) +(DEBUG|INFO|WARNING|ERROR) ", telemetry.__doc__ or "", re.MULTILINE))
    assert set(HINTS) == set(documented()) - {"unprotect_refused"}
    without = {event for event, hint in HINTS.items() if hint == NOTHING}
    assert without == {event for event, level in levels.items() if level in {"DEBUG", "INFO"}} | {"key_revoked"}


def test_every_reason_of_a_refusal_is_known() -> None:
    reasons = {kind.code for kind in UnprotectError.__subclasses__()} | {"ambiguous_cookie"}
    assert set(HINTS_ON_REFUSALS) == reasons


@pytest.mark.parametrize("hint", [*HINTS.values(), *HINTS_ON_REFUSALS.values()])
def test_a_hint_is_one_line_that_begins_with_a_verb(hint: str) -> None:
    verbs = "change check configure create find leave look repair restore run see set sign use"
    assert hint == NOTHING or hint.split(maxsplit=1)[0] in verbs.split()
    assert hint.isprintable()
    assert not hint.endswith(".")


def test_a_record_has_the_hint_of_its_event(caplog: pytest.LogCaptureFixture) -> None:
    telemetry.emit("ring_stale", "error", seconds=31, location="")
    telemetry.emit("key_pruned", "info", key_id="a-b", location="")
    telemetry.refused("unknown_key", key_id="a-b", ring="shop", where="sid")
    hints = [vars(record)["hint"] for record in caplog.records]
    assert hints == [HINTS["ring_stale"], "", HINTS_ON_REFUSALS["unknown_key"]]


def test_the_hint_of_an_error_goes_with_the_event_that_it_causes(caplog: pytest.LogCaptureFixture) -> None:
    """*is it running?* was only in the exception."""
    store = WatchedRepository()
    store.go_down()
    with pytest.raises(RepositoryError):
        data_protection(store).create_protector("p").protect("x")
    (event,) = events(caplog, "refresh_failed")
    assert event["hint"] == "is it running?"
    telemetry.emit("refresh_failed", "error", error=OSError("no route"), code="OSError", location="")
    assert events(caplog, "refresh_failed")[1]["hint"] == HINTS["refresh_failed"]


def test_a_hint_with_text_from_elsewhere_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    error = RepositoryError("down", hint="create the table:\nCREATE TABLE \x1b[2J")
    telemetry.emit("refresh_failed", "error", error=error, code=error.code, location="")
    assert events(caplog, "refresh_failed")[0]["hint"] == r"create the table:\nCREATE TABLE \x1b[2J"


def calls_of_the_package() -> Iterator[tuple[str, ast.Call]]:
    """(file, call) of every call in its source."""
    root = Path(dpmiddleware.__file__).parent
    for path in sorted(root.rglob("*.py")):
        found = (node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call))
        yield from ((str(path.relative_to(root)), call) for call in found)


def test_every_record_is_written_by_the_one_mechanism() -> None:
    """Another call of a logger would have neither name nor hint."""
    writers = re.compile(r"(LOGGER|logger|logging)\.(log|debug|info|warning|error|exception|critical|getLogger)")
    found = {file for file, call in calls_of_the_package() if writers.fullmatch(ast.unparse(call.func))}
    assert found == {"telemetry.py"}


def test_every_error_that_somebody_must_act_on_is_raised_with_a_hint() -> None:
    """Or has that of its class. A document's problem is named, and what to do is the hint of its event."""
    kinds = {
        name
        for name, kind in ERRORS.items()
        if not issubclass(kind, UnprotectError | MalformedDocumentError) and not kind.hint
    } - {"MissingExtraError"}  # which makes its own
    without = [
        f"{file}:{call.lineno}"
        for file, call in calls_of_the_package()
        if ast.unparse(call.func) in kinds and "hint" not in {keyword.arg for keyword in call.keywords}
    ]
    assert without == []


# --- a wrong certificate ------------------------------------------------------------------------------------------


@pytest.fixture
def wrongly_wrapped(tmp_path: Path) -> DataProtection:
    """An application whose ring is wrapped with another certificate than its own."""
    ring, found = tmp_path / "ring", []
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        certificate = self_signed(tmp_path / name, rsa_key(name, 1))
        found.append(DataProtection("shop", repository=ring, key_wrapper=f"x509://{certificate}"))
    found[0].start(wait=True)
    return found[1]


def test_a_wrong_certificate_is_answered_with_what_to_configure(
    wrongly_wrapped: DataProtection, caplog: pytest.LogCaptureFixture
) -> None:
    """The hint was to run `dpm keys list`, which repeated the problem."""
    with pytest.raises(KeyUnwrapError) as caught:
        wrongly_wrapped.start(wait=True)
    advice = "add that certificate, with its private key, to key_wrapper="
    assert caught.value.hint.startswith(advice)
    for name in ("key_unusable", "refresh_failed"):
        assert str(events(caplog, name)[0]["hint"]).startswith(advice)


def test_one_reason_is_written_once_though_it_has_several_events(
    wrongly_wrapped: DataProtection, caplog: pytest.LogCaptureFixture
) -> None:
    """The thumbprint and the sentence around it were in each of four lines per worker, and again at each try."""
    with pytest.raises(KeyUnwrapError) as caught:
        wrongly_wrapped.start(wait=True)
    unavailable(caught.value)
    reason = r"the key is wrapped with the certificate with thumbprint [0-9A-F]{40}, which is not configured"
    assert len(re.findall(reason, " ".join(lines(caplog)))) == 1
    key, ring = events(caplog, "key_unusable")[0]["key_id"], wrongly_wrapped.repository.location
    no_key = f"no key in {ring} can be used, and none is created"
    blocked = f"key {key} cannot be used"
    assert lines(caplog)[1:] == [
        f"making_blocked: a key is due but is not created problem={blocked}: (as before) location={ring}",
        f"refresh_failed: the ring could not be refreshed error={no_key}: (as before) code=key_unwrap location={ring}",
        "unavailable: answered 503: there is no key ring error=(as before) code=key_unwrap",
    ]
    for record in caplog.records[1:]:
        fields = vars(record)
        assert re.search(reason, str(fields.get("problem", fields.get("error"))))


# --- repeated reasons ---------------------------------------------------------------------------------------------

REASON = "cannot read redis://127.0.0.1:6379/0: Error 111 connecting to 127.0.0.1:6379. Connection refused."


def test_a_long_reason_is_written_again_after_ten_minutes() -> None:
    assert repeats.shortened(REASON, 0) == REASON
    assert repeats.shortened(REASON, 599) == "(as before)"
    assert repeats.shortened(REASON, 601) == REASON
    assert repeats.shortened(REASON, 602) == "(as before)"


def test_a_reason_within_another_is_referred_to_and_what_is_new_is_written() -> None:
    repeats.shortened(REASON, 0)
    longer = f"no key can be used: {REASON}"
    assert repeats.shortened(longer, 1) == "no key can be used: (as before)"
    assert repeats.shortened(longer, 2) == "(as before)"
    assert repeats.shortened(f"{longer} (twice)", 3) == "(as before) (twice)"


def test_a_short_reason_is_written_each_time() -> None:
    assert [repeats.shortened("timed out", second) for second in range(3)] == ["timed out"] * 3


def test_what_is_remembered_is_bounded() -> None:
    for number in range(1_000):
        repeats.shortened(f"{REASON} {number:04}", number / 1_000)
    assert len(repeats._written) == repeats._REMEMBERED
    assert repeats.shortened(f"{REASON} 0999", 1) == "(as before)"
    assert repeats.shortened(f"{REASON} 0000", 1) != "(as before)"


def test_the_tries_of_a_store_that_is_down_are_short_lines(caplog: pytest.LogCaptureFixture) -> None:
    store, clock = WatchedRepository(), StoppedClock()
    store.failure = RepositoryError(REASON)
    dp = data_protection(store, clock)
    for _ in range(3):
        with pytest.raises(RepositoryError):
            dp.create_protector("p").protect("x")
        clock.advance(seconds=60)
    first, *others = lines(caplog)
    assert f"error={REASON} code=repository" in first
    assert {line.partition(" location=")[0] for line in others} == {
        "refresh_failed: the ring could not be refreshed error=(as before) code=repository"
    }
    assert {event["error"] for event in events(caplog, "refresh_failed")} == {REASON}


# --- a password in a URL ------------------------------------------------------------------------------------------

MASKED = {
    "postgresql+psycopg://user:pw-9x@127.0.0.1:9/db": "postgresql+psycopg://user:***@127.0.0.1:9/db",
    "mysql+pymysql://user:pw-9x@127.0.0.1:9/db": "mysql+pymysql://user:***@127.0.0.1:9/db",
    "redis://user:pw-9x@127.0.0.1:9/0": "redis://user:***@127.0.0.1:9/0",
    "redis://:pw-9x@127.0.0.1:9/0": "redis://:***@127.0.0.1:9/0",
}


@pytest.mark.parametrize("url", MASKED)
def test_a_masked_password_keeps_its_colon_wherever_the_url_is_shown(
    url: str, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    dp = DataProtection("shop", repository=url)
    with pytest.raises(RepositoryError) as caught:
        dp.start(wait=True)
    main(["keys", "list", "--application", "shop", "--repository", url])
    for shown in (dp.repository.location, str(caught.value), lines(caplog)[0], capsys.readouterr().err):
        assert MASKED[url] in shown
        assert not re.search(r"[^:]\*\*\*@", shown)
