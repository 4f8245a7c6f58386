"""Exit status 0 only if what was asked for now holds: every verb, in every kind of place, as a writer and as a reader.

A reader is a process with ``DPM_AUTO_CREATE_KEYS=false`` whose account may not write to the store.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from dpmiddleware.cli import main
from dpmiddleware.cli.main import command_line
from dpmiddleware.cli.ring import RingView
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import RepositoryError
from dpmiddleware.keys.interfaces import StoredDocument
from dpmiddleware.repositories.files import FileKeyRepository
from dpmiddleware.repositories.markup import split
from tests.cli.places import PLACES, SECRETS, Place, make_signer, sign_all
from tests.fakes import key_document, put

STATES = tuple(PLACES)
Holds = Callable[[Place, str], bool]
"""Whether what was asked for is so now, by the store and by what was printed."""


@dataclass(frozen=True)
class Row:
    """One verb. words: its arguments. writer, reader: its exit status in each of `STATES`.

    holds: what status 0 promises. signed: whether the documents of the place are signed first.
    """

    words: Sequence[str]
    writer: str
    reader: str
    holds: Holds
    signed: bool = False


def documents(folder: Path) -> set[bytes]:
    return {stored.data for stored in FileKeyRepository(folder).read().documents}


def names_every_key(place: Place, printed: str) -> bool:
    return all(str(key)[:8] in printed for key in place.ids)


def has_a_new_key(place: Place, _: str) -> bool:
    keys = place.ring().manager.read().keys
    return any(key.usable and not key.revocation and key.id not in place.ids for key in keys)


def protects(place: Place, _: str = "") -> bool:
    return RingView.of(place.ring()).default is not None


def is_revoked(place: Place, _: str) -> bool:
    return all(key.revocation for key in place.ring().manager.read().keys if key.id == place.key)


def all_were_revoked(place: Place, _: str) -> bool:
    keys = place.ring().manager.read().keys
    return protects(place) and all(key.revocation for key in keys if key.id in place.ids)


def was_copied(place: Place, _: str) -> bool:
    return documents(place.folder.parent / "copy") == documents(place.folder) != set()


def was_exported(place: Place, _: str) -> bool:
    exported = split((place.folder.parent / "backup.xml").read_bytes())
    return {stored.data for stored in exported} == documents(place.folder) != set()


def was_imported(place: Place, _: str) -> bool:
    return documents(place.folder) >= documents(place.folder.parent / "yesterday")


def has_no_old_key(place: Place, _: str) -> bool:
    ring = place.ring()
    ago = ring.manager.now() - timedelta(days=30)
    return not [key for key in ring.manager.read().keys if key.expiration_date < ago]


def opens_with_the_next_secret(place: Place, _: str) -> bool:
    return all(key.usable for key in place.ring("secret:env:NEXT_SECRET").manager.read().keys)


def is_signed(place: Place, _: str) -> bool:
    reading = place.ring(trusted_signers=str(place.folder.parent / "signer.pub")).manager.read()
    return bool(reading.documents) and not reading.set_aside


def says_active(_: Place, printed: str) -> bool:
    return "active, default" in printed


def has_the_policy(place: Place, _: str) -> bool:
    policy = place.ring().manager.read().policy
    return policy is not None and policy.policy.poll == timedelta(seconds=7)


def has_no_policy(place: Place, _: str) -> bool:
    return place.ring().manager.read().policy is None


def shows_the_policy(_: Place, printed: str) -> bool:
    return "poll         10s" in printed


SIGNER = ("--signer", "ed25519://{home}/signer.pem")


def is_configured(place: Place, _: str) -> bool:
    """The application's own settings protect."""
    lines = (place.folder.parent / "conf" / "web.env").read_text().splitlines()[1:]
    return bool(DataProtection.from_env(dict(line.split("=", 1) for line in lines)).current().protecting_key())


ROWS = {  # in order, empty, wrong folder, mistyped, nothing configured, all revoked, all unusable, another ring
    "init": Row(("{home}/conf",), "10001111", "11111111", is_configured),
    "keys list": Row((), "01111001", "01111001", names_every_key),
    "keys show": Row(("{key}",), "01111001", "01111001", lambda place, printed: str(place.key) in printed),
    "keys timeline": Row((), "01111001", "01111001", names_every_key),
    "keys create": Row((), "00001001", "11111111", has_a_new_key),
    "keys rotate": Row(("--if-due",), "01111011", "01111111", protects),
    "keys revoke": Row(("{key}", "--yes"), "01111001", "11111011", is_revoked),
    "keys revoke-all": Row(("--yes",), "01111001", "11111111", all_were_revoked),
    "keys copy": Row(("--to", "{home}/copy"), "01111001", "01111001", was_copied),
    "keys export": Row(("--output", "{home}/backup.xml"), "01111001", "01111001", was_exported),
    "keys import": Row(("{home}/yesterday.xml",), "00001001", "11111111", was_imported),
    "keys prune": Row(("--older-than", "30d", "--yes"), "01111001", "11111111", has_no_old_key),
    "keys rewrap": Row(("--to", "secret:env:NEXT_SECRET"), "01111011", "11111111", opens_with_the_next_secret),
    "keys sign": Row((*SIGNER, "--yes"), "01111001", "11111111", is_signed),
    "keys verify": Row(("--trusted-signer", "{home}/signer.pub"), "01111011", "01111011", is_signed, signed=True),
    "keys policy show": Row((), "01111001", "01111001", shows_the_policy),
    "keys policy set": Row(("--poll", "7s", "--yes"), "01111001", "11111111", has_the_policy),
    "keys policy remove": Row(("--yes",), "11111111", "11111111", has_no_policy),  # none of these places has one
    "inspect": Row(("{token}",), "01111111", "01111111", says_active),
    "check": Row((), "01111111", "01111111", protects),
}


@dataclass(frozen=True)
class Case:
    """A verb in a place. status: what it should end with."""

    verb: str
    state: str
    member: str
    status: int

    def __str__(self) -> str:
        return f"{self.verb}: {self.state}, {self.member}"


CASES = [
    Case(verb, state, member, int(statuses[number]))
    for verb, row in ROWS.items()
    for member, statuses in (("writer", row.writer), ("reader", row.reader))
    for number, state in enumerate(STATES)
]


def ring_verbs() -> dict[str, bool]:
    """The verbs that take the options of a ring, and whether each changes that ring."""
    verbs = [verb for verb in command_line()[1].all if "--repository" in verb.format_usage()]
    return {verb.prog.removeprefix("dpm "): verb.get_default("changes") for verb in verbs}


def test_the_table_has_a_row_for_every_verb_that_works_on_a_ring() -> None:
    assert set(ROWS) == set(ring_verbs())
    assert all(len(statuses) == len(STATES) for row in ROWS.values() for statuses in (row.writer, row.reader))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder with a signer, and with yesterday's backup, whose key no place has."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("DPM_APPLICATION", "shop")
    monkeypatch.setenv("DPM_KEY_WRAPPER", "secret:env:RING_SECRET")
    for name in ("REPOSITORY", "SIGNER", "TRUSTED_SIGNERS", "RING", "ALGORITHM", "AUTO_CREATE_KEYS"):
        monkeypatch.delenv(f"DPM_{name}", raising=False)
    for name, secret in SECRETS.items():
        monkeypatch.setenv(name, secret)
    make_signer(tmp_path)
    yesterday = Place(tmp_path / "yesterday")
    put(yesterday.store, key_document(wrapper=yesterday.ring().manager.wrappers[0]))
    assert main(["keys", "export", "--repository", str(yesterday.folder), "--output", f"{tmp_path}/yesterday.xml"]) == 0
    return tmp_path


def prepared(case: Case, home: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """The place, and the variables of the member that looks at it."""
    place = PLACES[case.state](home)
    if ROWS[case.verb].signed and case.state != "another ring" and place.folder.exists():
        sign_all(place)
    if place.named:
        monkeypatch.setenv("DPM_REPOSITORY", str(place.folder))
    if case.state == "another ring":
        monkeypatch.setenv("DPM_TRUSTED_SIGNERS", str(home / "signer.pub"))
    if case.member == "reader":
        monkeypatch.setenv("DPM_AUTO_CREATE_KEYS", "false")
        monkeypatch.setattr(FileKeyRepository, "commit", refusing(place.folder))
    return place


def a_token(case: Case, place: Place, home: Path) -> str:
    """A payload: of this ring if it can protect, otherwise of one that is in order elsewhere."""
    ring = place.ring() if case.state == "in order" else PLACES["in order"](home / "elsewhere").ring()
    return ring.create_protector("p").protect("3 apples")


def refusing(folder: Path) -> Callable[..., None]:
    """A `commit` that fails in one folder, as for an account that may only read there."""
    commit = FileKeyRepository.commit

    def refused(self: FileKeyRepository, **changes: Sequence[StoredDocument] | str) -> None:
        if self.folder == folder:
            raise RepositoryError(f"cannot write to {folder}: Permission denied")
        commit(self, **changes)  # type: ignore[arg-type]

    return refused


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()} if folder.exists() else {}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_it_is_done_or_the_exit_status_says_that_it_is_not(
    case: Case, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row, changes = ROWS[case.verb], ring_verbs()[case.verb]
    place = prepared(case, home, monkeypatch)
    named = {"home": home, "key": place.key, "token": a_token(case, place, home)}
    backup = home / "backup.xml"
    backup.write_text("yesterday's")
    before, existed = contents(place.folder), place.folder.exists()
    capsys.readouterr()
    status = main([*case.verb.split(), *(word.format(**named) for word in row.words)])
    printed = "".join(capsys.readouterr())
    assert status == case.status, printed
    if status == 0:
        assert row.holds(place, printed)
        assert str(place.folder) in printed or not changes, "a change names its place"
        return
    assert str(place.folder) in printed, "it says where it looked"
    assert contents(place.folder) == before, "nothing was changed"
    assert place.folder.exists() == existed, "and no folder was made"
    assert backup.read_text() == "yesterday's"
    assert not (home / "copy").exists()


@pytest.mark.parametrize("words", [("create",), ("revoke-all", "--yes")], ids=" ".join)
def test_a_key_beside_wrapped_ones_is_not_wrapped_only_if_that_was_said(
    words: tuple[str, ...], home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The other members refuse it, so it would not be what was asked for."""
    place = PLACES["in order"](home)
    monkeypatch.delenv("DPM_KEY_WRAPPER")
    before = contents(place.folder)
    command = ["keys", *words, "--repository", str(place.folder)]
    assert main(command) == 1
    assert "are wrapped, but no key wrapper is configured" in capsys.readouterr().err
    assert contents(place.folder) == before
    assert main([*command, "--key-wrapper", "plain:"]) == 0
    assert len(contents(place.folder)) > len(before)


def test_verify_found_no_problem_in_a_signed_ring_of_which_members_use_no_key(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    signer, store = f"ed25519://{home}/signer.pem", str(home / "plain")
    assert main(["keys", "create", "--repository", store, "--key-wrapper", "plain:", "--signer", signer]) == 0
    verify = ["keys", "verify", "--repository", store, "--trusted-signer", f"{home}/signer.pub"]
    assert main([*verify, "--signatures-only"]) == 0
    assert main(verify) == 1
    assert "the key is not wrapped" in capsys.readouterr().out
