"""The attacker plants a key in the ring of the archive."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.x509.oid import NameOID

from dpmiddleware import DataProtection
from dpmiddleware.at_rest.x509 import X509KeyWrapper
from dpmiddleware.keys.signers import Ed25519Signer

from ..demo.process import ServerFailedError
from .archive import APPLICATION
from .attacker import RingAttacker
from .server import ArchiveServer
from .visitor import Seen, Visitor

__all__ = ["Facts", "carry_out"]

Facts = dict[str, object]
NAME: Final = "ada"
PASSWORD: Final = "analytical"  # noqa: S105 (the example's only reader)
REFUSED: Final = "document_refused"
_ADMIN: Final = "mallory is an administrator"
_ANONYMOUS: Final = "mallory is not signed in"
_WITHIN: Final = 30.0
"""Seconds. The archive polls its ring every second; a busy machine needs longer."""


def carry_out(folder: Path, say: Callable[[str], None], *, signed: bool) -> tuple[str, Facts]:
    """Run the archive in ``folder`` (empty), and plant a key. The outcome, and the facts for programs.

    signed: whether the ring is signed, and the archive trusts only its signer.
    """
    settings = _set_up(folder, say, signed=signed)
    attacker = RingAttacker(folder / "keys")
    with ArchiveServer(folder / "archive.log", settings) as server:
        ada = Visitor(server).sign_in(NAME, PASSWORD)
        say(f"{NAME} signs in: the archive sees {ada.in_words()!r}, cookie protected with key {_short(ada.cookie_key)}")
        certificate = attacker.read_certificate()
        say(f"mallory finds the certificate that wraps keys in a document: {certificate.subject.rfc4514_string()}")
        attacker.plant(certificate)
        say(f"mallory plants key {_short(attacker.key_id)}, wrapped with this certificate and newer than all others")
        forged = Visitor(server, attacker.forge_cookie())
        _wait_until("the archive to see the key", lambda: forged.look().admin or _reports(server) > 0, server)
        seen = forged.look()
        opened = forged.open_sealed_files()
        say(f"mallory sends a cookie protected with this key: the archive sees {seen.in_words()!r}")
        say(f"mallory requests the sealed files: {'granted' if opened else 'refused'}")
        if signed:
            return _after_refusals(server, attacker, certificate, seen, say)
        later = _sign_in_until_planted_key_is_default(server, attacker)
        name = attacker.read_cookie(later.cookie)
        say(f"{NAME} signs in again: mallory's key protects the new cookie, and mallory reads the name in it: {name}")
        facts: Facts = {"admin": seen.admin, "sealed_files": opened, "read_by_intruder": name}
        return (_ADMIN if seen.admin and opened and name == NAME else _ANONYMOUS), facts


def _after_refusals(
    server: ArchiveServer, attacker: RingAttacker, certificate: x509.Certificate, seen: Seen, say: Callable[[str], None]
) -> tuple[str, Facts]:
    """The attacker tries again, with their own signature. The archive continues as before."""
    attacker.plant(certificate, signed=True)
    say(f"mallory plants key {_short(attacker.key_id)}, this time signed with their own key")
    forged = Visitor(server, attacker.forge_cookie())
    _wait_until("the archive to poll again", lambda: forged.look().admin or _reports(server) > 1, server)
    again = forged.look()
    say(f"mallory sends a cookie protected with this key: the archive sees {again.in_words()!r}")
    ada = Visitor(server)
    later = ada.sign_in(NAME, PASSWORD)
    say(f"{NAME} signs in again: the archive sees {later.in_words()!r}, key {_short(later.cookie_key)}")
    reports = server.lines_about(REFUSED)
    for line in reports:
        say(f"the log of the archive: {line}")
    facts: Facts = {
        "admin": seen.admin or again.admin,
        "signed_in": seen.name or again.name,
        "read_by_intruder": attacker.read_cookie(ada.cookie),
        "reports": reports,
    }
    if facts["admin"] or facts["signed_in"] or facts["read_by_intruder"]:
        return _ADMIN, facts
    if later.name != NAME or len(set(reports)) != len(reports):
        return "mallory is not signed in, but the archive is disturbed", facts
    return _ANONYMOUS, facts


def _reports(server: ArchiveServer) -> int:
    return len(server.lines_about(REFUSED))


def _sign_in_until_planted_key_is_default(server: ArchiveServer, attacker: RingAttacker) -> Visitor:
    """Wait until the archive protects with the planted key."""
    ada = Visitor(server)
    _wait_until(
        "the archive to protect with the planted key",
        lambda: ada.sign_in(NAME, PASSWORD).cookie_key == str(attacker.key_id),
        server,
    )
    return ada


def _wait_until(what: str, is_so: Callable[[], bool], server: ArchiveServer) -> None:
    deadline = time.monotonic() + _WITHIN
    while not is_so():
        if time.monotonic() > deadline:
            raise ServerFailedError(f"timed out while waiting for {what}; the log ends:\n{server.log()[-2000:]}")
        time.sleep(0.1)


def _set_up(folder: Path, say: Callable[[str], None], *, signed: bool) -> dict[str, str]:
    """Create the certificate and, for a signed ring, the first key. The settings of the archive."""
    certificate = folder / "certificate.pem"
    certificate.write_bytes(_new_certificate())
    settings = {"ARCHIVE_KEYS": str(folder / "keys"), "ARCHIVE_CERTIFICATE": str(certificate)}
    if not signed:
        say("the archive starts: its keys are wrapped with a certificate, but not signed")
        return settings
    private = ed25519.Ed25519PrivateKey.generate()
    public = folder / "signer.pub"
    public.write_bytes(
        private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    job = DataProtection(
        APPLICATION,
        repository=folder / "keys",
        key_wrapper=X509KeyWrapper(certificate),
        signer=Ed25519Signer(private),
    )
    made = job.manager.create_key(activate_now=True)
    say(f"the job that has the private key of the signer creates and signs key {_short(made)}")
    say("the archive starts: it trusts the public key of the signer, and creates no keys")
    return settings | {"ARCHIVE_TRUSTS": str(public)}


def _new_certificate() -> bytes:
    """PEM: a self-signed certificate and its private key."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "keys of the archive")])
    today = dt.datetime.now(dt.timezone.utc)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(today - dt.timedelta(days=1))
    certificate = builder.not_valid_after(today + dt.timedelta(days=365)).sign(key, hashes.SHA256())
    return certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _short(key_id: object) -> str:
    return f"{str(key_id)[:8]}…"
