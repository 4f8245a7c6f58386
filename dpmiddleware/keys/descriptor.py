"""The ``<descriptor>`` in a key document: the algorithm that the key is for, and its master key. ::

    <descriptor deserializerType="…">               outer: names the kind of the inner one, one of four
      <descriptor>
        <encryption algorithm="AES_256_CBC" />
        <validation algorithm="HMACSHA256" />       CBC only
        <masterKey p4:requiresEncryption="true" xmlns:p4="http://schemas.asp.net/2015/03/dataProtection">
          <value>base64 of the master key</value>
        </masterKey>                                 or <encryptedSecret>, if it is wrapped

The kinds: AuthenticatedEncryptor (enumeration names), Managed (``Aes`` and ``HMACSHA256`` with keyLength in bits),
CngCbc (``AES`` with keyLength, ``<hash algorithm="SHA256">``), CngGcm (``AES`` with keyLength). The first is written,
all four are read. A descriptor that cannot be read is an `UnsupportedAlgorithmError` or a `MalformedDocumentError`; the
key is unusable then.
"""

from __future__ import annotations

import base64
import binascii
import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Final

from dpmiddleware.crypto.encryptors import Algorithm, CbcHmac, Gcm, Suite
from dpmiddleware.crypto.secret import Secret
from dpmiddleware.dotnet_types import BUILD, DATA_PROTECTION, plain_type_name, type_in
from dpmiddleware.errors import MalformedDocumentError, UnsupportedAlgorithmError
from dpmiddleware.keys.xml import REQUIRES_ENCRYPTION
from dpmiddleware.printable import printable

__all__ = ["descriptor_element", "read_secret", "read_suite", "secret_element"]

_WHITE_SPACE: Final = b" \t\r\n"
_ENCRYPTION_VALUES: Final = ("AES_128_CBC", "AES_192_CBC", "AES_256_CBC", "AES_128_GCM", "AES_192_GCM", "AES_256_GCM")
_VALIDATION_VALUES: Final = ("HMACSHA256", "HMACSHA512")


def descriptor_element(algorithm: Algorithm, secret: Secret) -> ET.Element:
    """The outer descriptor of a new key, with an unencrypted master key."""
    outer = ET.Element("descriptor", {"deserializerType": _deserializer("AuthenticatedEncryptor") + BUILD})
    inner = ET.SubElement(outer, "descriptor")
    encryption, _, digest = algorithm.name.partition("_HMAC")
    ET.SubElement(inner, "encryption", {"algorithm": encryption})
    if digest:
        ET.SubElement(inner, "validation", {"algorithm": f"HMAC{digest}"})
    inner.append(secret_element(secret))
    return outer


def secret_element(secret: Secret) -> ET.Element:
    """An unencrypted ``<masterKey>``, with .NET's mark for an element that has to be wrapped."""
    element = ET.Element("masterKey", {REQUIRES_ENCRYPTION: "true"})
    element.append(ET.Comment(" Warning: this key is not encrypted. "))
    ET.SubElement(element, "value").text = base64.b64encode(secret.reveal()).decode("ascii")
    return element


def read_secret(master_key: ET.Element) -> Secret:
    """The master key in an unencrypted ``<masterKey>``: the base64 of all its text."""
    try:
        text = "".join(master_key.itertext()).encode("ascii").translate(None, _WHITE_SPACE)
        if len(text) % 4 or text.endswith(b"==="):  # Python before 3.13 accepts padding after a whole group
            raise ValueError("padding")
        return Secret(binascii.a2b_base64(text, strict_mode=True))
    except ValueError:
        raise MalformedDocumentError("the master key is empty or is not base64") from None


def read_suite(outer: ET.Element, inner: ET.Element) -> Suite:
    """The algorithm that a descriptor names."""
    kind = plain_type_name(outer.get("deserializerType", ""))
    reader = _READERS.get(kind)
    if reader is None:
        raise UnsupportedAlgorithmError(f"the kind of key {printable(kind)!r} is not supported")
    return reader(inner)


def _child(inner: ET.Element, tag: str) -> ET.Element:
    """The first child of that name, as in .NET."""
    found = inner.find(tag)
    if found is None:
        raise MalformedDocumentError(f"the descriptor has no <{tag}>")
    return found


def _enumerated(element: ET.Element, values: tuple[str, ...]) -> str:
    """``@algorithm`` as the name of an enumeration value; like .NET, its number is accepted too."""
    text = element.get("algorithm", "").strip()
    if text in values:
        return text
    number = text.removeprefix("+")
    if number.isascii() and number.isdigit() and int(number[:9]) < len(values):
        return values[int(number[:9])]
    raise UnsupportedAlgorithmError(f"the algorithm {printable(text, 40)!r} is not supported")


def _built_in(inner: ET.Element) -> Suite:
    name = _enumerated(_child(inner, "encryption"), _ENCRYPTION_VALUES)
    if name.endswith("CBC"):
        name += "_" + _enumerated(_child(inner, "validation"), _VALIDATION_VALUES)
    suite: Suite = Algorithm[name].value  # the same object for all keys: there may be 10,000
    return suite


def _managed(inner: ET.Element) -> Suite:
    encryption, validation = _child(inner, "encryption"), _child(inner, "validation")
    cipher = _type(encryption, {"Aes": "AES"})
    hashes = {"HMACSHA1": "sha1", "HMACSHA256": "sha256", "HMACSHA384": "sha384", "HMACSHA512": "sha512"}
    return CbcHmac(_key_size(encryption), _type(validation, hashes), cipher)


def _cng_cbc(inner: ET.Element) -> Suite:
    encryption = _child(inner, "encryption")
    cipher = _type(encryption, {"AES": "AES", "3DES": "3DES"})
    hashes = {"SHA1": "sha1", "SHA256": "sha256", "SHA384": "sha384", "SHA512": "sha512"}
    return CbcHmac(_key_size(encryption), _type(_child(inner, "hash"), hashes), cipher)


def _cng_gcm(inner: ET.Element) -> Suite:
    encryption = _child(inner, "encryption")
    _type(encryption, {"AES": "AES"})
    return Gcm(_key_size(encryption))


def _type(element: ET.Element, known: dict[str, str]) -> str:
    """``@algorithm`` as a friendly name or an assembly-qualified .NET type name."""
    name = element.get("algorithm", "").partition(",")[0].strip().removeprefix("System.Security.Cryptography.")
    if name not in known:
        raise UnsupportedAlgorithmError(f"the algorithm {printable(name, 60)!r} is not supported")
    return known[name]


def _key_size(element: ET.Element) -> int:
    """``@keyLength`` (bits) in bytes, rounded down as in .NET."""
    text = element.get("keyLength", "").strip()
    if not (text.isascii() and text.isdigit() and len(text) <= 5):
        raise MalformedDocumentError("keyLength is not a number")
    return int(text) // 8


def _deserializer(kind: str) -> str:
    return type_in(DATA_PROTECTION, f"AuthenticatedEncryption.ConfigurationModel.{kind}DescriptorDeserializer")


_READERS: Final[dict[str, Callable[[ET.Element], Suite]]] = {
    _deserializer(kind): reader
    for kind, reader in {
        "AuthenticatedEncryptor": _built_in,
        "ManagedAuthenticatedEncryptor": _managed,
        "CngCbcAuthenticatedEncryptor": _cng_cbc,
        "CngGcmAuthenticatedEncryptor": _cng_gcm,
    }.items()
}
