"""Whether a key wrapper is fit for production, for ``dpm check``; never used in a request.

A wrapper wraps and unwraps a key without value, so a certificate without its private key, a disabled KMS key and a
token that may not encrypt are found before the next key is due.
"""

from __future__ import annotations

import stat
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal
from uuid import UUID

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from dpmiddleware.at_rest.rsa_keys import GOOD_RSA_BITS, MIN_RSA_BITS
from dpmiddleware.at_rest.x509 import X509KeyWrapper
from dpmiddleware.errors import ConfigurationError, KeyUnwrapError
from dpmiddleware.keys.interfaces import Binding, KeyWrapper
from dpmiddleware.printable import printable
from dpmiddleware.windows import is_windows

__all__ = ["Weakness", "weak_files", "weaknesses"]


@dataclass(frozen=True, slots=True)
class Weakness:
    """One finding. code: for machines. text: the problem. hint: what to do. level: whether it has to be done now."""

    code: str
    text: str
    hint: str
    level: Literal["problem", "note"] = "problem"


def weaknesses(wrapper: KeyWrapper, *, ring: str, now: datetime, wraps: bool = True) -> Iterator[Weakness]:
    """Yield what is wrong with a wrapper. Reads its files and, if ``wraps``, calls its service twice.

    wrapper: the wrapper.
    ring: the ring's name, which some wrappers bind.
    now: the time, for certificates.
    wraps: whether this process creates keys with it; otherwise it need not be able to encrypt.
    """
    if isinstance(wrapper, X509KeyWrapper):
        yield from _of_certificates(wrapper, now, wraps=wraps)
    yield from weak_files(getattr(wrapper, "private_files", ()))
    if wraps and not (isinstance(wrapper, X509KeyWrapper) and _is_refused(wrapper)):
        yield from _tried_out(wrapper, ring)


def weak_files(paths: Iterable[str | Path]) -> Iterator[Weakness]:
    """Yield files of secrets that users other than owner and group can read or write; on Windows, none."""
    for path in paths:
        try:
            mode = Path(path).stat().st_mode
        except OSError:
            continue  # whatever needs a missing file reports it
        if not is_windows() and mode & (stat.S_IROTH | stat.S_IWOTH):
            yield Weakness(
                "secret_readable_by_others",
                f"{printable(path)} holds a secret and has mode {stat.S_IMODE(mode):04o}",
                f"run chmod o= {printable(path)}, and consider a new secret",
            )


def _of_certificates(wrapper: X509KeyWrapper, now: datetime, *, wraps: bool) -> Iterator[Weakness]:
    try:
        certificates = wrapper.certificates
    except ConfigurationError as error:
        yield Weakness("certificate_unreadable", str(error), error.hint)
        return
    for number, certificate in enumerate(certificates):
        subject = printable(certificate.subject.rfc4514_string())
        if wraps and number == 0 and certificate.not_valid_after_utc < now:
            text = f"the certificate {subject} that wraps new keys expired {certificate.not_valid_after_utc:%Y-%m-%d}"
            yield Weakness("certificate_expired", text, "wrap with a new one: dpm keys rewrap; keep the old to unwrap")
        bits = _bits(certificate)
        text = f"the certificate {subject} has an RSA key of {bits} bits"
        hint = f"wrap with one of {GOOD_RSA_BITS} bits or more: dpm keys rewrap"
        if bits < MIN_RSA_BITS:
            yield Weakness("certificate_weak", text, hint)
        elif bits < GOOD_RSA_BITS:
            yield Weakness("certificate_short", f"{text}: enough until 2030", hint, "note")


def _is_refused(wrapper: X509KeyWrapper) -> bool:
    """Whether the certificate that wraps has been found too short, and refuses to."""
    try:
        return _bits(wrapper.certificates[0]) < MIN_RSA_BITS
    except ConfigurationError:
        return False


def _bits(certificate: x509.Certificate) -> int:
    public = certificate.public_key()
    assert isinstance(public, rsa.RSAPublicKey)  # noqa: S101 (the wrapper accepts no other)
    return public.key_size


def _tried_out(wrapper: KeyWrapper, ring: str) -> Iterator[Weakness]:
    """Wrap and unwrap a key that is never used."""
    element = ET.Element("masterKey")
    ET.SubElement(element, "value").text = "dHJpZWQgb3V0"
    binding = Binding(ring, UUID(int=0), bytes(32))
    try:
        _, encrypted = wrapper.wrap(element, binding)
        wrapper.unwrap(encrypted, binding)
    except (ConfigurationError, KeyUnwrapError) as error:
        yield Weakness("wrapper_unusable", f"a key cannot be wrapped and unwrapped: {error}", error.hint)
