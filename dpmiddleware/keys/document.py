"""Key and revocation documents as ASP.NET Core writes them. ::

    <key id="GUID" version="1">                              stored under the name key-{id}
      <creationDate>…</creationDate> <activationDate>…</activationDate> <expirationDate>…</expirationDate>
      <descriptor deserializerType="…">…</descriptor>        dpmiddleware.keys.descriptor
    </key>

    <revocation version="1">                                 stored under the name revocation-{id}, or revocation-{date}
      <revocationDate>…</revocationDate>
      <key id="GUID" />                                      "*": every key created before the date
      <reason>…</reason>
    </revocation>

A ring may have a policy, too: `dpmiddleware.keys.ring_policy`.

A signature is the last child, in a namespace of this package; .NET ignores it. The master key in the descriptor may be
wrapped (`dpmiddleware.keys.wrapping`).
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from dpmiddleware.crypto.encryptors import Algorithm
from dpmiddleware.crypto.secret import Secret
from dpmiddleware.errors import MalformedDocumentError
from dpmiddleware.instants import Instant
from dpmiddleware.keys import xml
from dpmiddleware.keys.descriptor import descriptor_element
from dpmiddleware.keys.interfaces import StoredDocument
from dpmiddleware.keys.ring_policy import POLICY, PolicyDocument, load_policy, policy_name
from dpmiddleware.printable import printable

__all__ = [
    "KeyDocument",
    "RevocationDocument",
    "dump",
    "friendly_name",
    "guid",
    "load",
    "may_be_key",
    "may_be_revocation",
    "new_key",
    "new_revocation",
]


@dataclass(frozen=True, slots=True)
class KeyDocument:
    """A key in a store. Its dates are read; its descriptor is not, as the master key may be wrapped."""

    stored: StoredDocument
    element: ET.Element
    id: UUID
    creation_date: Instant
    activation_date: Instant
    expiration_date: Instant


@dataclass(frozen=True, slots=True)
class RevocationDocument:
    """A revocation in a store, of one key; or if ``key_id`` is ``None``, of every key created strictly before ``date``.

    date: may be missing in the revocation of one key.
    """

    stored: StoredDocument
    element: ET.Element
    key_id: UUID | None
    date: Instant | None
    reason: str


# --- load ---------------------------------------------------------------------------------------------------


def load(stored: StoredDocument) -> KeyDocument | RevocationDocument | PolicyDocument:
    """Read a stored document. `MalformedDocumentError` if it is broken, or is none of the three."""
    if stored.problem:
        raise MalformedDocumentError(stored.problem)
    element = xml.parse(stored.data)
    if element.tag == "key":
        return _load_key(stored, element)
    if element.tag == "revocation":
        return _load_revocation(stored, element)
    if element.tag == POLICY:
        return load_policy(stored, element)
    if _inside(element):
        raise MalformedDocumentError(
            f"a ring in one text: <{printable(element.tag, 60)}> around keys; "
            "import it with `dpm keys import`, then remove the document"
        )
    raise MalformedDocumentError(f"neither a key nor a revocation, but <{printable(element.tag, 60)}>")


def _load_key(stored: StoredDocument, element: ET.Element) -> KeyDocument:
    dates = [_date(element, name) for name in ("creationDate", "activationDate", "expirationDate")]
    return KeyDocument(stored, element, guid(element.get("id", "")), *dates)


def _load_revocation(stored: StoredDocument, element: ET.Element) -> RevocationDocument:
    """The date is required only in a revocation of every key, as in .NET."""
    name = _revoked_id(element)
    found = element.find("reason")
    reason = "" if found is None else "".join(found.itertext())
    try:
        date: Instant | None = _date(element, "revocationDate")
    except MalformedDocumentError:
        if name == "*":
            raise
        date = None
    return RevocationDocument(stored, element, None if name == "*" else guid(name), date, reason)


def _revoked_id(revocation: ET.Element) -> str:
    revoked = revocation.find("key")
    return "" if revoked is None else revoked.get("id", "")


def _date(element: ET.Element, name: str) -> Instant:
    found = element.find(name)
    try:
        return Instant.parse("" if found is None else _text_of(found))
    except (ValueError, OverflowError):
        raise MalformedDocumentError(f"<{name}> is missing or is not a date") from None


def _text_of(element: ET.Element) -> str:
    """All the text in an element, as .NET reads it; usually there is nothing else in it."""
    return "".join(element.itertext()) if len(element) else element.text or ""


_GUID_D: Final = re.compile("-".join(f"[0-9a-fA-F]{{{digits}}}" for digits in (8, 4, 4, 4, 12)))
"""The usual form. The patterns of the others are compiled when one is met: that takes milliseconds."""
_GUID: Final = (
    r"(?i)(?P<open>[{(]?)([0-9a-f]{8})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{12})(?P<close>[)}]?)"
    "|[0-9a-f]{32}"
)
_GUID_X: Final = (
    r"(?i)\{0x([0-9a-f]{1,8}),0x([0-9a-f]{1,4}),0x([0-9a-f]{1,4}),\{" + ",".join([r"0x([0-9a-f]{1,2})"] * 8) + r"\}\}"
)


def guid(text: str) -> UUID:
    """A GUID in one of the forms that .NET reads: D, N, B, P, X, in any case."""
    text = text.strip()
    if _GUID_D.fullmatch(text):
        return UUID(int=int(text.replace("-", ""), 16))
    match = re.fullmatch(_GUID, text)
    if match and (match["open"] or "") + (match["close"] or "") in {"", "{}", "()"}:
        return UUID(text.strip("{}()"))
    hexadecimal = re.fullmatch(_GUID_X, text)
    if hexadecimal is None:
        raise MalformedDocumentError("the id is missing or is not a GUID")
    sizes = (8, 4, 4, *[2] * 8)
    return UUID("".join(digits.rjust(size, "0") for digits, size in zip(hexadecimal.groups(), sizes, strict=True)))


def may_be_revocation(stored: StoredDocument) -> bool:
    """Whether a document that cannot be loaded may be, or contain, a revocation: the ring is not used without it."""
    return _may_be(stored, "revocation")


def may_be_key(stored: StoredDocument) -> bool:
    """Whether a document that cannot be loaded may be, or contain, a key: no new key is created instead of it.

    A document that was not read because of its size may be a whole ring, whatever its name is.
    """
    return _may_be(stored, "key") or (stored.problem == xml.TOO_LARGE and not may_be_revocation(stored))


def _may_be(stored: StoredDocument, kind: str) -> bool:
    if _contains(stored, kind):
        return True
    if stored.name is not None:
        return stored.name.startswith(f"{kind}-")
    if stored.problem and not stored.data:
        return True
    encoding = "utf-16" if stored.data[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-8-sig"
    text = stored.data[: xml.MAX_SIZE].decode(encoding, "replace")
    tag = _TAG.match(text, _root_at(text))
    if tag is None:
        return False
    return tag[1] == kind or (tag.end() == len(text) and kind.startswith(tag[1]))


def _contains(stored: StoredDocument, kind: str) -> bool:
    """Whether a document is well-formed XML of another shape, with a ``kind`` in it: a ring in one text."""
    try:
        root = xml.parse(stored.data)
    except MalformedDocumentError:
        return False
    return root.tag not in {"key", "revocation"} and kind in _inside(root)


def _inside(root: ET.Element) -> set[str]:
    """Which of ``key`` and ``revocation`` are in an element, in any namespace. A key has a creation date."""
    found: set[str] = set()
    for element in root.iter():
        if not isinstance(element.tag, str):
            continue
        name = xml.split_name(element.tag)[1]
        if name == "revocation" or (name == "key" and _has_dates(element)):
            found.add(name)
    return found


def _has_dates(element: ET.Element) -> bool:
    return any(xml.split_name(child.tag)[1] == "creationDate" for child in element if isinstance(child.tag, str))


_TAG: Final = re.compile(r"<([^\s/>]*)")
_BLANK: Final = re.compile(r"\s*")
_DOCTYPE_ENDS: Final = re.compile(r"[\[>]")


def _root_at(text: str) -> int:
    """Where the root element begins: after white space, comments, instructions and a DTD. Each is passed once."""
    position = 0
    while True:
        position = _BLANK.match(text, position).end()  # type: ignore[union-attr]  # always matches
        if text.startswith("<?", position):
            end = _after("?>", text, position)
        elif text.startswith("<!--", position):
            end = _after("-->", text, position)
        elif text.startswith("<!DOCTYPE", position):
            opens = _DOCTYPE_ENDS.search(text, position)
            start = position if opens is None or opens[0] == ">" else _after("]", text, opens.end())
            end = _after(">", text, start) if start >= 0 else -1
        else:
            return position
        if end < 0:
            return position
        position = end


def _after(what: str, text: str, position: int) -> int:
    """The end of the first ``what`` at or after ``position``; -1 if there is none."""
    found = text.find(what, position)
    return found if found < 0 else found + len(what)


# --- create and write --------------------------------------------------------------------------------------


def dump(element: ET.Element) -> StoredDocument:
    """An element as a document to store, under the name that .NET gives it."""
    return StoredDocument(friendly_name(element), xml.dump(element))


def friendly_name(element: ET.Element) -> str:
    """The name that .NET stores a key or revocation under, and that of a policy."""
    if element.tag == POLICY:
        return policy_name(element)
    if element.tag == "key":
        return f"key-{element.get('id')}"
    key_id = _revoked_id(element)
    if key_id != "*":
        return f"revocation-{key_id}"
    stamp = str(_date(element, "revocationDate"))
    return "revocation-" + "".join(c for c in stamp if c.isalnum())


def new_key(
    key_id: UUID, *, creation: Instant, activation: Instant, expiration: Instant, algorithm: Algorithm, secret: Secret
) -> ET.Element:
    """``<key>`` with its master key unencrypted.

    key_id, creation, activation, expiration: of the key. algorithm: what it is for. secret: the master key.
    """
    element = ET.Element("key", {"id": str(key_id), "version": "1"})
    for name, date in (("creationDate", creation), ("activationDate", activation), ("expirationDate", expiration)):
        ET.SubElement(element, name).text = str(date)
    element.append(descriptor_element(algorithm, secret))
    return element


def new_revocation(key_id: UUID | None, *, date: Instant, reason: str) -> ET.Element:
    """``<revocation>`` of one key, or with ``None`` of every key created strictly before ``date``.

    Characters of ``reason`` that XML cannot contain are escaped, and it is cut at 2,000 characters: a revocation that
    cannot be read would stop the whole ring.
    """
    element = ET.Element("revocation", {"version": "1"})
    ET.SubElement(element, "revocationDate").text = str(date)
    if key_id is None:
        element.append(ET.Comment(" Every key created before the revocation date is revoked. "))
    ET.SubElement(element, "key", {"id": "*" if key_id is None else str(key_id)})
    ET.SubElement(element, "reason").text = _NO_XML.sub(lambda found: ascii(found[0])[1:-1], reason[:2000]) or None
    return element


_NO_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
