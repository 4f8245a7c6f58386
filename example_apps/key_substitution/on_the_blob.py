"""The session key blob is replaced, as the documentation of CryptoAPI warns.

A service keeps its letters on an insecure disk. They are protected by a ring whose keys are wrapped with a session key.
The session key is exported to an exchange key, as a blob on the same disk. The public half of the exchange key is
enough to create such a blob from a session key of one's own.
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
from dpmiddleware.at_rest.key_blob import KeyBlobKeyWrapper
from dpmiddleware.at_rest.key_blob_files import create_key_blob
from dpmiddleware.errors import DataProtectionError
from dpmiddleware.protection.protector import DataProtector

from .attacker import BlobAttacker

__all__ = ["carry_out"]

APPLICATION: Final = "letters"
PURPOSE: Final = "Letters"
LETTERS: Final = ("Dear Charles, the engine is nearly ready.", "Dear Charles, the engine is ready.")
_READ: Final = "mallory reads the new letter"
_REFUSED: Final = "the blob is refused, nothing is written"


@dataclass(frozen=True, slots=True)
class Service:
    """What the service uses. disk: the attacker can read and write it; the exchange key is elsewhere."""

    disk: Path
    exchange: Path
    trust: tuple[Path, ...]

    def start(self) -> DataProtector:
        """Start the service. It reads everything from the disk when it needs it."""
        wrapper = KeyBlobKeyWrapper(
            self.disk / "session.blob", exchange=self.exchange, trust=self.trust, allow_unsigned=not self.trust
        )
        ring = DataProtection(APPLICATION, repository=self.disk / "keys", key_wrapper=wrapper)
        return ring.create_protector(PURPOSE)


def carry_out(folder: Path, say: Callable[[str], None], *, signed: bool) -> tuple[str, dict[str, object]]:
    """Write a letter, replace the blob, and write another letter. The outcome, and the facts for programs.

    signed: whether the service verifies the signature of the blob.
    """
    service, public = _set_up(folder, signed=signed)
    first = service.start().protect(LETTERS[0])
    say("the service exports a session key to the exchange key, signs and stores it, and writes a letter")
    say(f"the service {'verifies' if signed else 'does not verify'} the signature of the blob")
    shutil.copytree(service.disk, folder / "backup")
    attacker = BlobAttacker(service.disk / "session.blob", service.disk / "keys", public)
    attacker.replace_blob()
    say("mallory exports their own session key to the same exchange key, and replaces the blob and the keys")
    second, refusal = _write_another(service, say)
    if second is not None:
        text = attacker.read(APPLICATION, PURPOSE, second)
        say(f"mallory opens the letter with this session key, and reads: {text!r}")
        return (_READ if text == LETTERS[1] else _REFUSED), {"read_by_intruder": text}
    attacker.sign_blob()
    say("mallory signs the new blob with their own key")
    third, again = _write_another(service, say)
    shutil.rmtree(service.disk)
    shutil.copytree(folder / "backup", service.disk)
    kept = service.start().unprotect(first)
    say(f"blob and keys are restored from the backup, and the first letter opens: {kept!r}")
    facts: dict[str, object] = {"refusals": [refusal, again], "kept": kept}
    return (_REFUSED if third is None and kept == LETTERS[0] else _READ), facts


def _write_another(service: Service, say: Callable[[str], None]) -> tuple[str | None, str]:
    """Start the service, and write a letter: the payload (``None`` if refused), and the error."""
    try:
        letter = service.start().protect(LETTERS[1])
    except DataProtectionError as error:
        say(f"the service restarts and refuses to write: {error.code}: {error}")
        if list((service.disk / "keys").glob("*.xml")):
            say("but there is a new key on the disk")
            return "", str(error)
        return None, str(error)
    say("the service restarts, imports the blob, and writes another letter")
    return letter, ""


def _set_up(folder: Path, *, signed: bool) -> tuple[Service, rsa.RSAPublicKey]:
    """Create the exchange key, the signer and a signed blob. The service, and the public exchange key."""
    disk = folder / "disk"
    disk.mkdir(parents=True)
    exchange = _new_pair(folder / "exchange")
    _new_pair(folder / "signer")
    create_key_blob(disk / "session.blob", exchange=folder / "exchange.pub", signer=folder / "signer.pem")
    trust = (folder / "signer.pub",) if signed else ()
    return Service(disk, folder / "exchange.pem", trust), exchange.public_key()


def _new_pair(path: Path) -> rsa.RSAPrivateKey:
    """Write an RSA key to ``path``.pem, and its public half to ``path``.pub."""
    key = rsa.generate_private_key(65537, 2048)
    encoding, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.with_suffix(".pem").write_bytes(private)
    path.with_suffix(".pub").write_bytes(key.public_key().public_bytes(encoding, form))
    return key
