"""What the tests of key wrappers wrap, and how they damage it."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from uuid import UUID

from dpmiddleware.crypto.secret import Secret
from dpmiddleware.keys.descriptor import read_secret, secret_element
from dpmiddleware.keys.interfaces import Binding, KeyWrapper, StoredDocument
from dpmiddleware.keys.xml import ENCRYPTED_SECRET, dump, parse

__all__ = [
    "BINDING",
    "GARBAGE",
    "MASTER_KEY",
    "OTHER_BINDINGS",
    "changed",
    "master_key",
    "reread",
    "under_the_null_encryptor",
    "unwrapped",
]

MASTER_KEY = b"CANARY-" + bytes(range(57))
BINDING = Binding("shop", UUID("80732141-ec8f-4b80-af9c-c4d2d1ff8901"), bytes(range(32)))
OTHER_BINDINGS = {
    "another ring": Binding("staging", BINDING.key_id, BINDING.digest),
    "another key": Binding("shop", UUID("80732141-ec8f-4b80-af9c-c4d2d1ff8902"), BINDING.digest),
    "other dates or another algorithm": Binding("shop", BINDING.key_id, bytes(32)),
}
GARBAGE = [
    b"<nothing />",
    b"<encryptedKey />",
    b"<encryptedKey><value /></encryptedKey>",
    b"<encryptedKey><value>AAAA</value></encryptedKey>",
    b"<encryptedKey><value>!</value></encryptedKey>",
    b"<encryptedKey><value><value>AAAA</value></value></encryptedKey>",
    b"<masterKey><value>AAAA</value></masterKey>",
]


def master_key() -> ET.Element:
    """The element that is wrapped."""
    return secret_element(Secret(MASTER_KEY))


def reread(encrypted: ET.Element) -> ET.Element:
    """The wrapping as it is read from a store."""
    place = ET.Element(ENCRYPTED_SECRET)
    place.append(encrypted)
    return parse(dump(place))[0]


def unwrapped(wrapper: KeyWrapper, encrypted: ET.Element, binding: Binding = BINDING) -> bytes:
    """The master key in a wrapping that was stored and read."""
    return read_secret(wrapper.unwrap(reread(encrypted), binding)).reveal()


def changed(encrypted: ET.Element) -> Iterator[ET.Element]:
    """The wrapping with one character of one text changed, and with one element missing."""
    data = dump(encrypted)
    leaves = [index for index, element in enumerate(parse(data).iter()) if (element.text or "").strip()]
    for index in leaves:
        text = list(parse(data).iter())[index].text or ""
        for position in {0, len(text) // 3, len(text) // 2, len(text) - 5}:
            copy = parse(data)
            element = list(copy.iter())[index]
            other = "B" if text[position] != "B" else "C"
            element.text = text[:position] + other + text[position + 1 :]
            yield copy
    for index in leaves:
        copy = parse(data)
        element = list(copy.iter())[index]
        parent = next(p for p in copy.iter() if element in list(p))
        parent.remove(element)
        yield copy


def under_the_null_encryptor(stored: StoredDocument) -> StoredDocument:
    """The same key as .NET writes it with an encryptor that does not encrypt."""
    assembly = "Microsoft.AspNetCore.DataProtection"
    kind = f"{assembly}.XmlEncryption.NullXmlDecryptor, {assembly}"
    element = parse(stored.data)
    parent = next(each for each in element.iter() if each.find("masterKey") is not None)
    secret = parent.find("masterKey")
    assert secret is not None
    parent.remove(secret)
    ET.SubElement(ET.SubElement(parent, ENCRYPTED_SECRET, {"decryptorType": kind}), "unencryptedKey").append(secret)
    return StoredDocument(stored.name, dump(element))
