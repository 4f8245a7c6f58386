"""Draws key and revocation documents, damaged in one or two ways, on which two readers can be compared."""

from __future__ import annotations

import copy
import random
import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Final

__all__ = ["damaged"]

DATES: Final = (
    "2026-11-22T14:47:36.1453182Z",
    "2026-11-22T14:47:36Z",
    "2026-11-22T14:47:36.1Z",
    "2026-11-22T14:47:36.12345674Z",
    "2026-11-22T14:47:36.12345675Z",
    "2026-11-22T14:47:36.999999999999Z",
    "2026-11-22T14:47:36.Z",
    "2026-11-22T14:47:36z",
    "2026-11-22t14:47:36Z",
    "2026-11-22 14:47:36Z",
    "2026-11-22T14:47:36+05:30",
    "2026-11-22T14:47:36-14:00",
    "2026-11-22T14:47:36+14:01",
    "2026-11-22T14:47:36+0530",
    "2026-11-22T14:47:36+05",
    "2026-11-22T14:47:36",
    "2026-11-22T14:47Z",
    "2026-11-22T24:00:00Z",
    "2026-11-22T14:47:60Z",
    "2026-11-22",
    "2026-11-22Z",
    "2026-11",
    "2026-11+01:00",
    "2026",
    "0000-01-01T00:00:00Z",
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+01:00",
    "9999-12-31T23:59:59.9999999Z",
    "9999-12-31T23:59:59.99999995Z",
    "9999-12-31T23:59:59-01:00",
    "10000-01-01T00:00:00Z",
    "-2026-11-22T14:47:36Z",
    "+2026-11-22T14:47:36Z",
    "2026-02-29T00:00:00Z",
    "2028-02-29T00:00:00Z",
    "  2026-11-22T14:47:36Z\r\n",
    "\u00a02026-11-22T14:47:36Z\u2003",
    "2026-11-22T14:47:36 Z",
    "Sun, 22 Nov 2026 14:47:36 GMT",
    "",
    "later",
)
IDS: Final = (
    "70b73aec-fc2e-4848-914c-dd1d029eb8e6",
    "70B73AEC-FC2E-4848-914C-DD1D029EB8E6",
    "70b73aecfc2e4848914cdd1d029eb8e6",
    "{70b73aec-fc2e-4848-914c-dd1d029eb8e6}",
    "(70b73aec-fc2e-4848-914c-dd1d029eb8e6)",
    "{70b73aec-fc2e-4848-914c-dd1d029eb8e6)",
    "{70b73aec-fc2e-4848-914c-dd1d029eb8e6",
    "{70b73aecfc2e4848914cdd1d029eb8e6}",
    "{0x70b73aec,0xfc2e,0x4848,{0x91,0x4c,0xdd,0x1d,0x02,0x9e,0xb8,0xe6}}",
    "{0x70b73aec,0xfc2e,0x4848,{0x91,0x4c,0xdd,0x1d,0x2,0x9e,0xb8,0xe6}}",
    " 70b73aec-fc2e-4848-914c-dd1d029eb8e6\t",
    "\u00a070b73aec-fc2e-4848-914c-dd1d029eb8e6",
    "urn:uuid:70b73aec-fc2e-4848-914c-dd1d029eb8e6",
    "70b73aec-fc2e4848-914c-dd1d029eb8e6",
    "00000000-0000-0000-0000-000000000000",
    "923f85ad-f517-4fbc-a43c-d5fd2c55942d",
    "70b73aec-fc2e-4848-914c-dd1d029eb8eg",
    "*",
    " *",
    "",
)
ALGORITHMS: Final = (
    "AES_256_CBC",
    "AES_128_CBC",
    "AES_256_GCM",
    " AES_256_CBC ",
    "aes_256_cbc",
    "AES_512_CBC",
    "HMACSHA256",
    "HMACSHA512",
    "HMACSHA1",
    "0",
    "2",
    "02",
    "+2",
    "-1",
    "6",
    "99",
    "0x2",
    "2.0",
    "\u0662",
    "",
)
KEYS: Final = (
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
    "AAEC AwQF\r\n\tBgcI",
    "AAEC\u00a0AwQF",
    "AAECAwQ-BgcI_QoL",
    "AB==",
    "AA==",
    "AA=",
    "A",
    "AA==AA==",
    "AAECAwQF==",
    "AAECAwQF====",
    "====",
    "not base64!",
)
_MODEL: Final = "Microsoft.AspNetCore.DataProtection.AuthenticatedEncryption.ConfigurationModel."
_KIND: Final = f"{_MODEL}AuthenticatedEncryptorDescriptorDeserializer"
KINDS: Final = (
    f"{_KIND}, Microsoft.AspNetCore.DataProtection",
    f"{_KIND}, Microsoft.AspNetCore.DataProtection, Version=2.2.0.0",
    f"{_KIND},Microsoft.AspNetCore.DataProtection",
    f"{_KIND.replace('AspNetCore', 'AspNet')}, Microsoft.AspNet.DataProtection",
    _KIND,
    f"{_KIND.lower()}, Microsoft.AspNetCore.DataProtection",
    f"{_KIND}, System.Xml",
    f"{_MODEL}ManagedAuthenticatedEncryptorDescriptorDeserializer, Microsoft.AspNetCore.DataProtection",
    "System.Object",
    "",
)
POOLS: Final = {
    "creationDate": DATES,
    "activationDate": DATES,
    "expirationDate": DATES,
    "revocationDate": DATES,
    "value": KEYS,
    "id": IDS,
    "algorithm": ALGORITHMS,
    "deserializerType": KINDS,
    "version": ("1", "2", "", "x"),
}
"""Odd values of a text or an attribute, by the name of the element or attribute."""

Parents = list[tuple[ET.Element, ET.Element]]


def damaged(document: str, draw: random.Random) -> str:
    """``document`` with one or two things about it changed; still well-formed XML."""
    root = ET.fromstring(document)
    for _ in range(draw.choice((1, 1, 2))):
        draw.choice(_WAYS)(root, draw)
    return ET.tostring(root, encoding="unicode")


def _pairs(root: ET.Element) -> Parents:
    return [(parent, child) for parent in root.iter() for child in parent]


def _odd_text(root: ET.Element, draw: random.Random) -> None:
    element = draw.choice([e for e in root.iter() if e.tag in POOLS] or [root])
    element.text = draw.choice(POOLS.get(element.tag, ("x",)))


def _odd_attribute(root: ET.Element, draw: random.Random) -> None:
    found = [(e, name) for e in root.iter() for name in e.attrib if name in POOLS]
    if found:
        element, name = draw.choice(found)
        element.set(name, draw.choice(POOLS[name]))


def _delete_attribute(root: ET.Element, draw: random.Random) -> None:
    found = [(e, name) for e in root.iter() for name in e.attrib]
    if found:
        element, name = draw.choice(found)
        del element.attrib[name]


def _delete(root: ET.Element, draw: random.Random) -> None:
    if pairs := _pairs(root):
        parent, child = draw.choice(pairs)
        parent.remove(child)


def _double(root: ET.Element, draw: random.Random) -> None:
    if pairs := _pairs(root):
        parent, child = draw.choice(pairs)
        twin = copy.deepcopy(child)
        if twin.text and twin.tag in POOLS:
            twin.text = draw.choice(POOLS[twin.tag])
        parent.insert(draw.randrange(len(parent) + 1), twin)


def _rename(root: ET.Element, draw: random.Random) -> None:
    element = draw.choice(list(root.iter()))
    element.tag = draw.choice(("key", "revocation", "descriptor", "masterKey", "{urn:x}key", "value", "KEY", "other"))


def _nest(root: ET.Element, draw: random.Random) -> None:
    if pairs := _pairs(root):
        parent, child = draw.choice(pairs)
        around = ET.Element(draw.choice(("key", "descriptor", "wrapper", child.tag)))
        at = list(parent).index(child)
        parent.remove(child)
        around.append(child)
        parent.insert(at, around)


def _split_text(root: ET.Element, draw: random.Random) -> None:
    """An element in the middle of a text."""
    element = draw.choice([e for e in root.iter() if e.text] or [root])
    text, at = element.text or "", draw.randrange(len(element.text or "") + 1)
    inner = ET.Element(draw.choice(("b", "value")))
    inner.tail, element.text = text[at:], text[:at]
    element.insert(0, inner)


def _extra(root: ET.Element, draw: random.Random) -> None:
    element = draw.choice(list(root.iter()))
    if draw.random() < 0.5:
        element.set(draw.choice(("extra", "{urn:x}id", "version")), "x")
    else:
        element.insert(
            0, ET.Element(draw.choice(("extra", "{urn:x}key", "key", "creationDate")), {"id": draw.choice(IDS)})
        )


_WAYS: Final[tuple[Callable[[ET.Element, random.Random], None], ...]] = (
    _odd_text,
    _odd_text,
    _odd_attribute,
    _odd_attribute,
    _delete_attribute,
    _delete,
    _double,
    _rename,
    _nest,
    _split_text,
    _extra,
)
