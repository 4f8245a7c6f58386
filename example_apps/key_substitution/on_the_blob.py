"""The session key blob is replaced, as the documentation of CryptoAPI warns.

A service keeps its letters on a disk that is assumed insecure. They are protected by a ring whose keys are sealed under
one session key; that is exported to an exchange key, as a blob, and lies on the same disk. The public half of the
exchange key is enough to make such a blob, of a session key that one knows.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from dpmiddleware import DataProtection
from dpmiddleware.at_rest.key_blob import KeyBlobKeyWrapper, create_key_blob
from dpmiddleware.errors import DataProtectionError
from dpmiddleware.protection.protector import DataProtector

from .intruder import BlobIntruder

__all__ = ["carry_out"]

APPLICATION: Final = "letters"
PURPOSE: Final = "Letters"
LETTERS: Final = ("Dear Charles, the engine is nearly ready.", "Dear Charles, the engine is ready.")
_READ: Final = "mallory reads what is written"
_REFUSED: Final = "the blob is refused, nothing is written"


@dataclass(frozen=True, slots=True)
class Service:
    """What the service has. disk: what the intruder reads and writes as well; the exchange key is elsewhere."""

    disk: Path
    exchange: Path
    trust: tuple[Path, ...]

    def start(self) -> DataProtector:
        """Start afresh: all that it knows is read from the disk, when it is needed."""
        wrapper = KeyBlobKeyWrapper(
            self.disk / "session.blob", exchange=self.exchange, trust=self.trust, allow_unsigned=not self.trust
        )
        ring = DataProtection(APPLICATION, repository=self.disk / "keys", key_wrapper=wrapper)
        return ring.create_protector(PURPOSE)


def carry_out(folder: Path, say: Callable[[str], None], *, signed: bool) -> tuple[str, dict[str, object]]:
    """Write a letter, replace the blob, write another. What came of it, and what was seen.

    signed: the service checks that the blob was signed by a key that it trusts.
    """
    service, public = _set_up(folder, signed=signed)
    first = service.start().protect(LETTERS[0])
    say("a session key is exported to the exchange key, signed, and stored; a letter is written")
    say("the service trusts the signer's public key" if signed else "the service does not look at the signature")
    shutil.copytree(service.disk, folder / "backup")
    intruder = BlobIntruder(service.disk / "session.blob", service.disk / "keys", public)
    intruder.replace_blob()
    say("mallory makes a session key of his own, exports it to the same exchange key, and replaces blob and keys")
    second, refusal = _write_another(service, say)
    if second is not None:
        text = intruder.read(APPLICATION, PURPOSE, second)
        say(f"mallory opens it with the session key that he knows, and reads: {text!r}")
        return (_READ if text == LETTERS[1] else _REFUSED), {"read_by_intruder": text}
    intruder.sign_it_himself()
    say("mallory signs his blob, with a key of his own")
    third, again = _write_another(service, say)
    shutil.rmtree(service.disk)
    shutil.copytree(folder / "backup", service.disk)
    kept = service.start().unprotect(first)
    say(f"blob and keys are put back from the backup, and the first letter opens: {kept!r}")
    facts: dict[str, object] = {"refusals": [refusal, again], "kept": kept}
    return (_REFUSED if third is None and kept == LETTERS[0] else _READ), facts


def _write_another(service: Service, say: Callable[[str], None]) -> tuple[str | None, str]:
    """Start the service and write a letter: the payload, or why there is none."""
    try:
        letter = service.start().protect(LETTERS[1])
    except DataProtectionError as error:
        say(f"the service is started again: {error.code}: {error}")
        if list((service.disk / "keys").glob("*.xml")):
            say("and yet there is a new key on the disk")
            return "", str(error)
        return None, str(error)
    say("the service is started again, imports the blob, and writes another letter")
    return letter, ""


def _set_up(folder: Path, *, signed: bool) -> tuple[Service, rsa.RSAPublicKey]:
    """Exchange key and signer, a blob that is signed, and the exchange key's public half."""
    disk = folder / "disk"
    disk.mkdir(parents=True)
    exchange = _new_pair(folder / "exchange")
    _new_pair(folder / "signer")
    create_key_blob(disk / "session.blob", exchange=folder / "exchange.pub", signer=folder / "signer.pem")
    trust = (folder / "signer.pub",) if signed else ()
    return Service(disk, folder / "exchange.pem", trust), exchange.public_key()


def _new_pair(path: Path) -> rsa.RSAPrivateKey:
    """An RSA key in ``path``.pem and its public half in ``path``.pub."""
    key = rsa.generate_private_key(65537, 2048)
    encoding, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.with_suffix(".pem").write_bytes(private)
    path.with_suffix(".pub").write_bytes(key.public_key().public_bytes(encoding, form))
    return key
