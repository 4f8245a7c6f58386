"""Is what keys are wrapped with fit for production? Asked by ``dpm check``, never in a request.

A wrapper is tried out on a key of no value, so a certificate without its private key, a disabled KMS key and a token
that may not encrypt are found before the next key is due.
"""

from __future__ import annotations

import stat
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric import rsa

from dpmiddleware.at_rest.x509 import X509KeyWrapper
from dpmiddleware.errors import ConfigurationError, KeyUnwrapError
from dpmiddleware.keys.interfaces import Binding, KeyWrapper
from dpmiddleware.printable import printable
from dpmiddleware.windows import is_windows

__all__ = ["Weakness", "weak_files", "weaknesses"]

_MIN_RSA_BITS: Final = 2048


@dataclass(frozen=True, slots=True)
class Weakness:
    """One finding. code: for machines. text: what is so. hint: what to do."""

    code: str
    text: str
    hint: str


def weaknesses(wrapper: KeyWrapper, *, ring: str, now: datetime, wraps: bool = True) -> Iterator[Weakness]:
    """What is wrong with ``wrapper``. ``wraps``: whether this process makes keys with it; else it need not encrypt.

    Reads its files and, where it wraps, asks its service twice.
    """
    if isinstance(wrapper, X509KeyWrapper):
        yield from _of_certificates(wrapper, now, wraps=wraps)
    yield from weak_files(getattr(wrapper, "private_files", ()))
    if wraps:
        yield from _tried_out(wrapper, ring)


def weak_files(paths: Iterable[str | Path]) -> Iterator[Weakness]:
    """Files of secrets and private keys that others than their owner and group can read. Not asked on Windows."""
    for path in paths:
        try:
            mode = Path(path).stat().st_mode
        except OSError:
            continue  # that it is not there is said by who needs it
        if not is_windows() and mode & (stat.S_IROTH | stat.S_IWOTH):
            yield Weakness(
                "secret_readable_by_others",
                f"{printable(path)} holds a secret and has mode {stat.S_IMODE(mode):04o}",
                f"chmod o= {printable(path)}, and think about making a new one",
            )


def _of_certificates(wrapper: X509KeyWrapper, now: datetime, *, wraps: bool) -> Iterator[Weakness]:
    try:
        certificates = wrapper.certificates
    except ConfigurationError as error:
        yield Weakness("certificate_unreadable", str(error), error.hint)
        return
    for number, certificate in enumerate(certificates):
        subject = printable(certificate.subject.rfc4514_string())
        public = certificate.public_key()
        if wraps and number == 0 and certificate.not_valid_after_utc < now:
            text = f"the certificate {subject} that wraps new keys expired {certificate.not_valid_after_utc:%Y-%m-%d}"
            yield Weakness("certificate_expired", text, "wrap with a new one: dpm keys rewrap; keep the old to unwrap")
        if isinstance(public, rsa.RSAPublicKey) and public.key_size < _MIN_RSA_BITS:
            text = f"the certificate {subject} has an RSA key of {public.key_size} bits"
            yield Weakness("certificate_weak", text, "wrap with one of 2048 bits or more: dpm keys rewrap")


def _tried_out(wrapper: KeyWrapper, ring: str) -> Iterator[Weakness]:
    """Wrap and unwrap a key that nobody will use."""
    element = ET.Element("masterKey")
    ET.SubElement(element, "value").text = "dHJpZWQgb3V0"
    binding = Binding(ring, UUID(int=0), bytes(32))
    try:
        _, encrypted = wrapper.wrap(element, binding)
        wrapper.unwrap(encrypted, binding)
    except (ConfigurationError, KeyUnwrapError) as error:
        yield Weakness("wrapper_unusable", f"a key cannot be wrapped and unwrapped: {error}", error.hint)
