"""A key of the intruder's own is planted in the ring of the archive."""

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
from dpmiddleware.keys.signature import Ed25519Signer

from ..demo.process import ServerFailedError
from .archive import APPLICATION
from .intruder import RingIntruder
from .server import ArchiveServer
from .visitor import Seen, Visitor

__all__ = ["Facts", "carry_out"]

Facts = dict[str, object]
NAME: Final = "ada"
PASSWORD: Final = "analytical"  # noqa: S105 (the example's only reader)
REFUSED: Final = "document refused"
_WITHIN: Final = 30.0
"""Seconds; the archive looks at its ring every second, and a busy machine needs some."""


def carry_out(folder: Path, say: Callable[[str], None], *, signed: bool) -> tuple[str, Facts]:
    """Run the archive in ``folder`` (empty), plant a key, see who is who. What came of it, and what was seen.

    signed: the ring is signed, and the archive trusts its signer and nobody else.
    """
    settings = _set_up(folder, say, signed=signed)
    intruder = RingIntruder(folder / "keys")
    with ArchiveServer(folder / "archive.log", settings) as server:
        ada = Visitor(server).sign_in(NAME, PASSWORD)
        say(f"{NAME} signs in: {ada.in_words()}, under key {_short(ada.cookie_key)}")
        certificate = intruder.read_certificate()
        say(f"mallory reads a key document: wrapped to {certificate.subject.rfc4514_string()}, whose key is public")
        intruder.plant(certificate)
        say(f"he plants key {_short(intruder.key_id)}, wrapped to it, newer than any other")
        forged = Visitor(server, intruder.forge_cookie())
        _wait_until("the archive to see the key", lambda: forged.look().admin or _reports(server) > 0, server)
        seen = forged.look()
        opened = forged.open_sealed_files()
        say(f"he sends a cookie that he made under it: the archive says {seen.in_words()!r}")
        say(f"he asks for the sealed files: {'he gets them' if opened else 'they are not for him'}")
        if signed:
            return _after_refusals(server, intruder, certificate, seen, say)
        later = _sign_in_until_planted_key_is_default(server, intruder)
        name = intruder.read_cookie(later.cookie)
        say(f"{NAME} signs in again: her cookie is under his key now, and he reads in it that she is {name}")
        facts: Facts = {"admin": seen.admin, "sealed_files": opened, "read_by_intruder": name}
        return ("mallory is admin" if seen.admin and opened and name == NAME else "mallory is nobody"), facts


def _after_refusals(
    server: ArchiveServer, intruder: RingIntruder, certificate: x509.Certificate, seen: Seen, say: Callable[[str], None]
) -> tuple[str, Facts]:
    """He tries once more, with a signature of his own; the archive goes on as before."""
    intruder.plant(certificate, signed=True)
    say(f"he plants key {_short(intruder.key_id)}, this time with a signature, by a key of his own")
    forged = Visitor(server, intruder.forge_cookie())
    _wait_until("the archive to look again", lambda: forged.look().admin or _reports(server) > 1, server)
    again = forged.look()
    say(f"he sends a cookie under that one: the archive says {again.in_words()!r}")
    ada = Visitor(server)
    later = ada.sign_in(NAME, PASSWORD)
    say(f"{NAME} signs in again: {later.in_words()}, under key {_short(later.cookie_key)}")
    reports = server.lines_about(REFUSED)
    for line in reports:
        say(f"the archive's log: {line}")
    facts: Facts = {
        "admin": seen.admin or again.admin,
        "signed_in": seen.name or again.name,
        "read_by_intruder": intruder.read_cookie(ada.cookie),
        "reports": reports,
    }
    if facts["admin"] or facts["signed_in"] or facts["read_by_intruder"]:
        return "mallory is admin", facts
    if later.name != NAME or len(set(reports)) != len(reports):
        return "mallory is nobody, and the archive is disturbed", facts
    return "mallory is nobody", facts


def _reports(server: ArchiveServer) -> int:
    return len(server.lines_about(REFUSED))


def _sign_in_until_planted_key_is_default(server: ArchiveServer, intruder: RingIntruder) -> Visitor:
    """Wait, as the intruder does, until the archive protects with his key."""
    ada = Visitor(server)
    _wait_until(
        "the archive to protect with the planted key",
        lambda: ada.sign_in(NAME, PASSWORD).cookie_key == str(intruder.key_id),
        server,
    )
    return ada


def _wait_until(what: str, is_so: Callable[[], bool], server: ArchiveServer) -> None:
    deadline = time.monotonic() + _WITHIN
    while not is_so():
        if time.monotonic() > deadline:
            raise ServerFailedError(f"waited in vain for {what}; the log ends:\n{server.log()[-2000:]}")
        time.sleep(0.1)


def _set_up(folder: Path, say: Callable[[str], None], *, signed: bool) -> dict[str, str]:
    """What the operator does: a certificate, and where the ring is signed its first key. The archive's settings."""
    certificate = folder / "certificate.pem"
    certificate.write_bytes(_new_certificate())
    settings = {"ARCHIVE_KEYS": str(folder / "keys"), "ARCHIVE_CERTIFICATE": str(certificate)}
    if not signed:
        say("the archive starts; its keys are wrapped to a certificate, and nobody signs them")
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
    say(f"the job that has the signer's private key makes and signs key {_short(made)}")
    say("the archive starts; it has the signer's public key, and makes no keys itself")
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
