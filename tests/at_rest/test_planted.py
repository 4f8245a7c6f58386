"""Documents that an attacker adds to a signed ring are never accepted, whatever is done with it, and stop nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from uuid import UUID

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from dpmiddleware import DataProtection
from dpmiddleware.at_rest.certificates import CertificateKey, load_certificates
from dpmiddleware.at_rest.x509 import X509KeyWrapper
from dpmiddleware.cli import main
from dpmiddleware.errors import RevokedKeyError
from dpmiddleware.keys.interfaces import StoredDocument
from dpmiddleware.keys.signature import RingSigner, is_signed
from dpmiddleware.keys.signers import Ed25519Signer
from dpmiddleware.keys.xml import dump, parse
from tests.cli.test_cli import Terminal
from tests.fakes import DAY, StoppedClock, bad_document, id_of, key_document, revocation_document
from tests.interop.vectors import VECTORS

NOW = datetime.now(timezone.utc)
CERTIFICATE = VECTORS / "certificates" / "first.pem"
OTHER = f"x509://{VECTORS / 'certificates' / 'second.pem'}"
CHECKOUT = Path(__file__).parents[2]
SECONDS_FOR_A_PROCESS = 60


class Ring:
    """A signed ring in a folder, the files of its signer, and ``dpm`` for it."""

    expired: Path
    """A document of a key that can be pruned."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.keys = folder / "keys"
        self.keys.mkdir()
        key = Ed25519PrivateKey.generate()
        self.signer = Ed25519Signer(key)
        encoding, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        no_password = serialization.NoEncryption()
        private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, no_password)
        self.wrapper = f"x509://{folder / 'certificate.pem'}"
        folder.joinpath("certificate.pem").write_bytes(CERTIFICATE.read_bytes())
        folder.joinpath("signer.pem").write_bytes(private)
        for file in folder.glob("*.pem"):
            file.chmod(0o600)
        folder.joinpath("signer.pub").write_bytes(key.public_key().public_bytes(encoding, form))

    def put(self, document: StoredDocument, *, signed: bool) -> Path:
        """Write a document into the folder."""
        data = document.data
        if signed:
            element = parse(data)
            RingSigner(self.signer, ring="shop").sign(element, NOW)
            data = dump(element)
        file = self.keys / f"{document.name}.xml"
        file.write_bytes(data)
        file.chmod(0o600)
        return file

    def plant(self) -> Path:
        """Add a key, wrapped with the certificate, as anyone can who can write to the folder; the newest of all."""
        public_half = X509KeyWrapper.of([CertificateKey(load_certificates(CERTIFICATE)[0].certificate)])
        return self.put(key_document(NOW, created=timedelta(0), wrapper=public_half), signed=False)

    def contents(self) -> dict[str, bytes]:
        return {file.name: file.read_bytes() for file in self.keys.glob("*.xml")}

    def reader(self, clock: StoppedClock | None = None) -> DataProtection:
        """A process that trusts the signer, and does not create keys."""
        trusted = [self.folder / "signer.pub"]
        return DataProtection(
            "shop",
            repository=self.keys,
            key_wrapper=self.wrapper,
            trusted_signers=trusted,
            auto_create_keys=False,
            clock=clock,
        )

    def dpm(self, *words: str, signer: bool = True) -> int:
        private = ["--signer", f"ed25519://{self.folder / 'signer.pem'}"] if signer else []
        ring = ["--application", "shop", "--repository", str(self.keys), "--key-wrapper", self.wrapper, *private]
        return main([*words, *ring, "--trusted-signer", str(self.folder / "signer.pub")])


@pytest.fixture
def ring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ring:
    """Two keys: one whose successor is due, one that expired long ago. No variables of the machine."""
    for name in list(os.environ):
        if name.startswith("DPM_"):
            monkeypatch.delenv(name)
    ring = Ring(tmp_path)
    wrapper = X509KeyWrapper(CERTIFICATE)
    ring.put(key_document(NOW, created=-89 * DAY, expires=DAY, wrapper=wrapper), signed=True)
    long_ago = key_document(NOW, created=-600 * DAY, expires=-500 * DAY, wrapper=wrapper)
    ring.expired = ring.put(long_ago, signed=True)
    return ring


# --- planted, then looked after ---------------------------------------------------------------------------------------

UPKEEP = [
    pytest.param(("keys", "rewrap", "--to", OTHER), id="rewrap"),
    pytest.param(("keys", "copy", "--to", "{folder}/other"), id="copy"),
    pytest.param(("keys", "prune", "--older-than", "180d", "--yes"), id="prune"),
    pytest.param(("keys", "prune", "--older-than", "180d", "--dry-run"), id="prune, dry run"),
    pytest.param(("keys", "export"), id="export"),
    pytest.param(("keys", "verify"), id="verify"),
    pytest.param(("keys", "verify", "--signatures-only"), id="verify, signatures only"),
    pytest.param(("check",), id="check"),
]


@pytest.mark.parametrize("verb", UPKEEP)
def test_a_planted_key_is_as_unsigned_as_before_and_is_named_with_exit_status_1(
    verb: tuple[str, ...], ring: Ring, capsys: pytest.CaptureFixture[str]
) -> None:
    planted = ring.plant()
    before = planted.read_bytes()
    words = [word.replace("{folder}", str(ring.folder)) for word in verb]
    assert ring.dpm(*words) == 1
    captured = capsys.readouterr()
    assert planted.stem in captured.out + captured.err
    assert planted.read_bytes() == before
    unsigned = [name for name, data in ring.contents().items() if not is_signed(parse(data))]
    assert unsigned == [planted.name]
    copied = {file.name for file in (ring.folder / "other").glob("*.xml")}
    assert planted.name not in copied
    if "export" in verb:
        assert planted.stem.removeprefix("key-") not in captured.out


@pytest.mark.parametrize("verb", UPKEEP)
def test_without_a_planted_key_the_same_is_exit_status_0(verb: tuple[str, ...], ring: Ring) -> None:
    """So the status above is due to the planted key."""
    words = [word.replace("{folder}", str(ring.folder)) for word in verb]
    assert ring.dpm(*words) == 0


def test_planted_while_keys_sign_waits_for_its_answer_it_is_not_signed(
    ring: Ring, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The operator confirms what was shown; if the store changed meanwhile, nothing is signed."""
    shown = ring.put(key_document(NOW, wrapper=X509KeyWrapper(CERTIFICATE)), signed=False)
    planted: list[Path] = []

    class Waiting(Terminal):
        def readline(self, *size: int) -> str:  # type: ignore[override]  # of a StringIO
            planted.append(ring.plant())
            return "yes\n"

    monkeypatch.setattr(sys, "stdin", Waiting())
    assert ring.dpm("keys", "sign") == 1
    captured = capsys.readouterr()
    assert shown.stem in captured.err
    assert planted[0].stem not in captured.err
    assert not any(is_signed(parse(file.read_bytes())) for file in (shown, *planted))


def test_a_pruned_key_put_back_under_its_own_id_or_another_opens_nothing(ring: Ring) -> None:
    """A backup, or an attacker's copy: its document is still signed."""
    old = ring.expired
    kept, key_id = old.read_bytes(), old.stem.removeprefix("key-")
    assert ring.dpm("keys", "prune", "--older-than", "180d", "--yes") == 0
    assert not old.exists()
    old.write_bytes(kept)
    other = "11111111-2222-3333-4444-555555555555"
    (ring.keys / f"key-{other}.xml").write_bytes(kept.replace(key_id.encode(), other.encode()))
    reading = ring.reader().manager.read()
    (back,) = [key for key in reading.keys if str(key.id) == key_id]
    assert back.revocation is not None
    assert [(aside.name, aside.problem) for aside in reading.refused] == [
        (f"key-{other}", "the document was changed after it was signed")
    ]


# --- without a signer -------------------------------------------------------------------------------------------------

WRITING = [
    pytest.param(("keys", "create"), id="create"),
    pytest.param(("keys", "create", "--now"), id="create --now"),
    pytest.param(("keys", "rotate", "--if-due"), id="rotate"),
    pytest.param(("keys", "revoke", "{key}", "--yes"), id="revoke"),
    pytest.param(("keys", "revoke", "11111111-2222-3333-4444-555555555555", "--unknown", "--yes"), id="revoke unknown"),
    pytest.param(("keys", "revoke-all", "--yes"), id="revoke-all"),
    pytest.param(("keys", "revoke-all", "--before", "2020-01-01", "--yes"), id="revoke-all --before"),
    pytest.param(("keys", "prune", "--older-than", "180d", "--yes"), id="prune"),
    pytest.param(("keys", "rewrap", "--to", OTHER), id="rewrap"),
    pytest.param(("keys", "sign", "--yes"), id="sign"),
    pytest.param(("keys", "import", "{folder}/unsigned.xml"), id="import"),
]


@pytest.mark.parametrize("verb", WRITING)
def test_a_verb_that_writes_without_a_signer_writes_nothing(
    verb: tuple[str, ...], ring: Ring, capsys: pytest.CaptureFixture[str]
) -> None:
    unsigned = key_document(NOW, wrapper=X509KeyWrapper(CERTIFICATE)).data
    ring.folder.joinpath("unsigned.xml").write_bytes(b"<repository>" + unsigned + b"</repository>")
    before = ring.contents()
    key = min(before).removeprefix("key-").removesuffix(".xml")
    words = [word.replace("{folder}", str(ring.folder)).replace("{key}", key) for word in verb]
    assert ring.dpm(*words, signer=False) == 1
    assert "dpm: error: " in capsys.readouterr().err
    assert ring.contents() == before


def test_an_unsigned_ring_is_not_copied_into_a_signed_one(ring: Ring, tmp_path: Path) -> None:
    """Nothing is signed on the way."""
    source = tmp_path / "unsigned"
    DataProtection("shop", repository=source, key_wrapper=ring.wrapper).create_protector("p").protect("x")
    before = ring.contents()
    words = ["keys", "copy", "--to", str(ring.keys), "--application", "shop", "--repository", str(source)]
    assert main([*words, "--key-wrapper", ring.wrapper]) == 1
    assert ring.contents() == before


# --- text from the store ----------------------------------------------------------------------------------------------

REASONS = [
    pytest.param("\x1b[2K<script>alert(1)</script>", id="given to dpm"),
    pytest.param("\x9b2K\u202e<script>alert(1)</script>", id="in a document, as XML can carry it"),
]


@pytest.mark.parametrize("reason", REASONS)
@pytest.mark.parametrize("signed", [True, False], ids=["signed", "unsigned"])
def test_a_reason_moves_no_cursor_and_is_no_markup(
    reason: str, signed: bool, ring: Ring, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Shown by every verb that shows it, as text and as JSON, and in the log: escaped."""
    key = UUID(min(ring.contents())[4:-4])
    if signed and "\x1b" in reason:
        assert ring.dpm("keys", "revoke", str(key), "--reason", reason, "--yes") == 0
    elif "\x1b" in reason:
        assert ring.put(revocation_document(key, NOW, reason=reason), signed=False).exists()
    else:
        ring.put(revocation_document(key, NOW, reason=reason), signed=signed)
    for verb in (("list",), ("show", str(key)), ("timeline",), ("verify",), ("sign",), ("prune", "--older-than", "1d")):
        for flags in ([], ["--json"]):
            ring.dpm("keys", *verb, *flags)
    for flags in ([], ["--json"]):
        ring.dpm("check", *flags)
    captured = capfd.readouterr()
    everything = captured.out + captured.err + caplog.text
    assert "script" in everything
    assert not [character for character in "\x1b\x9b\u202e" if character in everything]


# --- garbage beside a revocation --------------------------------------------------------------------------------------


def garbage_in(ring: Ring) -> None:
    """Unsigned garbage, a revocation that was cut off, one that is a FIFO: nothing may wait for them."""
    for document in (
        bad_document("notes", b"\x00 buy milk"),
        bad_document("revocation", b"<revocation version='1'><k"),
    ):
        (ring.keys / f"{document.name}.xml").write_bytes(document.data)
    ring.put(revocation_document(None, NOW, dated=DAY), signed=False)
    os.mkfifo(ring.keys / "revocation-x.xml")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs on this platform")
def test_garbage_planted_in_a_signed_ring_does_not_hold_up_a_signed_revocation(ring: Ring) -> None:
    """It applies within one poll in a running process, and at once in a new one."""
    fresh_key = key_document(NOW, created=-DAY, wrapper=X509KeyWrapper(CERTIFICATE))
    ring.put(fresh_key, signed=True)
    clock = StoppedClock(NOW)
    running = ring.reader(clock)
    running.provider._refresh.start = lambda job: job()
    payload = running.create_protector("p").protect("3 apples")
    garbage_in(ring)
    clock.advance(seconds=running.policy.poll.total_seconds())
    assert running.create_protector("p").unprotect(payload) == "3 apples"

    assert ring.dpm("keys", "revoke", str(id_of(fresh_key)), "--yes") == 0
    clock.advance(seconds=running.policy.poll.total_seconds())
    running.current()
    with pytest.raises(RevokedKeyError):
        running.create_protector("p").unprotect(payload)
    assert asked_in_a_fresh_process(ring, payload) == "RevokedKeyError"


def asked_in_a_fresh_process(ring: Ring, payload: str) -> str:
    """What a new process makes of a payload; it must not wait for the FIFO."""
    code = """
import json, sys
from dpmiddleware import DataProtection
settings, payload = json.load(sys.stdin)
try:
    DataProtection("shop", auto_create_keys=False, **settings).create_protector("p").unprotect(payload)
except Exception as error:
    print(type(error).__name__)
"""
    settings = {
        "repository": str(ring.keys),
        "key_wrapper": ring.wrapper,
        "trusted_signers": [str(ring.folder / "signer.pub")],
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps([settings, payload]),
        capture_output=True,
        text=True,
        timeout=SECONDS_FOR_A_PROCESS,
        cwd=CHECKOUT,
        check=True,
    )
    return done.stdout.strip()


def test_a_planted_key_is_nobodys_default_and_is_reported_once(ring: Ring, caplog: pytest.LogCaptureFixture) -> None:
    planted = ring.plant()
    clock = StoppedClock(NOW + timedelta(minutes=10))
    reader = ring.reader(clock)
    reader.provider._refresh.start = lambda job: job()
    default = reader.current().protecting_key().id
    assert f"key-{default}.xml" != planted.name
    for _ in range(3):
        clock.advance(days=1)
        reader.current()
    lines = [record for record in caplog.records if vars(record).get("event") == "document_refused"]
    assert [vars(line)["document"] for line in lines] == [planted.stem]
