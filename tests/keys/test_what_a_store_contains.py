"""What a store contains is foreign: work and memory grow with its size, and nothing in it counts as absent."""

from __future__ import annotations

import time
import tracemalloc
import xml.etree.ElementTree as ET
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import DataProtectionError, MalformedDocumentError, RepositoryError
from dpmiddleware.instants import Instant
from dpmiddleware.keys import document, interfaces, xml
from dpmiddleware.keys.interfaces import StoredDocument
from dpmiddleware.keys.key import Key, KeyState
from dpmiddleware.keys.loading import IncompleteReadingError
from dpmiddleware.keys.policy import RotationPolicy
from dpmiddleware.keys.rotation import rotation_due
from dpmiddleware.keys.signature import TrustedSigners
from dpmiddleware.keys.signers import Ed25519Signer
from dpmiddleware.keys.xml import MAX_SIZE, canonical, parse
from dpmiddleware.repositories.files import FileKeyRepository
from dpmiddleware.repositories.markup import edit, split
from dpmiddleware.repositories.memory import MemoryKeyRepository
from tests.fakes import NOON, events, id_of, key_document, manager, revocation_document, ring_of

KEY = key_document()
REVOCATION = revocation_document(id_of(KEY))

# --- work that grows with the size ------------------------------------------------------------------------------------


def growth(work: Callable[[bytes], object], text: Callable[[int], bytes], size: int) -> float:
    """How much processor time eight times the text takes, best of five: 8 times if it is linear, 64 if quadratic."""

    def seconds(data: bytes) -> float:
        best = float("inf")
        for _ in range(5):
            began = time.thread_time()
            with suppress(DataProtectionError):
                work(data)
            best = min(best, time.thread_time() - began)
        return best

    return seconds(text(8 * size)) / max(seconds(text(size)), 1e-5)


PUMPED = {
    "blanks": lambda n: b" " * n,
    "blanks after DOCTYPE": lambda n: b"<!DOCTYPE" + b" " * n,
    "blanks after a DTD": lambda n: b"<!DOCTYPE x [" + b"] " * (n // 2),
    "DOCTYPE again and again": lambda n: b"<!DOCTYPE x>" * (n // 12),
    "comments": lambda n: b"<!--" * (n // 4),
    "comments that end": lambda n: b"<!---->" * (n // 7),
    "instructions": lambda n: b"<?" * (n // 2),
    "xmlns": lambda n: b"<a " + b"xmlns" * (n // 5),
    "encoding": lambda n: b"<?xml " + b"encoding" * (n // 8),
    "blanks after encoding": lambda n: b"<?xml encoding" + b" " * n,
    "brackets": lambda n: b"<a" + b"<" * n,
    "quotation marks": lambda n: b"<a " + b"\"'" * (n // 2),
}


@pytest.mark.parametrize("pump", PUMPED.values(), ids=PUMPED.keys())
def test_64_kb_of_blanks_after_doctype_took_33_seconds(pump: Callable[[int], bytes]) -> None:
    def guess(data: bytes) -> None:
        document.may_be_key(StoredDocument(None, data))
        document.may_be_revocation(StoredDocument(None, data))

    assert growth(guess, pump, MAX_SIZE // 8) < 30


@pytest.mark.parametrize("pump", PUMPED.values(), ids=PUMPED.keys())
def test_128_kb_of_blanks_in_a_blob_held_up_a_revocation_for_43_seconds(pump: Callable[[int], bytes]) -> None:
    def commit(data: bytes) -> None:
        edit(b"<repository><!--" + data.replace(b"--", b"- ") + b"--><a/></repository>", [REVOCATION], ())
        split(data)

    assert growth(commit, pump, 32 * 1024) < 30


def test_4000_keys_in_a_row_are_planned_in_one_pass() -> None:
    """Each begins when the one before it ends."""

    (key,) = manager(ring_of(KEY)).read().keys
    start = Instant.of(NOON) - timedelta(days=1)

    def row(number: int) -> list[Key]:
        begins = [start + timedelta(days=7 * place) for place in range(number)]
        return [replace(key, activation_date=one, expiration_date=one + timedelta(days=7)) for one in begins]

    def seconds(keys: list[Key]) -> float:
        best = float("inf")
        for _ in range(5):
            began = time.thread_time()
            rotation_due(Instant.of(NOON), keys, RotationPolicy())
            best = min(best, time.thread_time() - began)
        return best

    assert seconds(row(4000)) / seconds(row(500)) < 30
    last = row(4000)[-1].expiration_date
    assert rotation_due(Instant.of(NOON), row(4000), RotationPolicy()) == last - timedelta(days=3)


def test_a_declaration_inside_a_blob_is_not_edited() -> None:
    inside = b"""<repository><!-- <?xml version="1.0" encoding="latin-1"?> --><a/></repository>"""
    assert b'encoding="latin-1"' in edit(inside, [REVOCATION], ())


# --- memory that grows with the size ----------------------------------------------------------------------------------

AMPLIFIED = {
    "one long namespace, many names": lambda: (
        b'<key xmlns="' + b"u" * 30_000 + b'">' + b"".join(b"<a%d/>" % n for n in range(4_000)) + b"</key>"
    ),
    "few enough names for the quick way": lambda: (
        b'<key xmlns="' + b"u" * 60_000 + b'">' + b"".join(b"<a%d/>" % n for n in range(50)) + b"</key>"
    ),
    "single quotation marks": lambda: (
        b"<key xmlns='" + b"u" * 60_000 + b"'>" + b"".join(b"<a%d/>" % n for n in range(50)) + b"</key>"
    ),
    "attributes": lambda: (
        b'<key xmlns:p="' + b"u" * 30_000 + b'">'
        + b"".join(b"<a " + b" ".join(b'p:b%d=""' % n for n in range(60)) + b"/>" for _ in range(40)) + b"</key>"
    ),
    "wide characters": lambda: (
        b'<key xmlns="' + b"u" * 30_000 + "\U0001f600".encode() + b'">'
        + b"".join(b"<a%d/>" % n for n in range(4_000)) + b"</key>"
    ),
    "UTF-16": lambda: (
        '<key xmlns="' + "u" * 15_000 + '">' + "".join(f"<a{n}/>" for n in range(2_000)) + "</key>"
    ).encode("utf-16"),
    "no namespace": lambda: b"<key>" + b"<a/>" * 16_000 + b"</key>",
    "a signature with names": lambda: (
        b"<key>" + b'<s:signature xmlns:s="' + b"u" * 50_000 + b'">'
        + b"".join(b"<s:a%d/>" % n for n in range(1_000)) + b"</s:signature></key>"
    ),
}  # fmt: skip


@pytest.mark.parametrize("make", AMPLIFIED.values(), ids=AMPLIFIED.keys())
def test_64_kb_of_namespaces_became_70_mb(make: Callable[[], bytes]) -> None:
    """Load and verify take at most 64 times the size of a document, whatever it says."""
    data = make()
    assert len(data) <= MAX_SIZE
    trusted = TrustedSigners([Ed25519Signer(Ed25519PrivateKey.generate()).public_key], ring="shop")
    tracemalloc.start()
    try:
        with pytest.raises(DataProtectionError):
            trusted.verify(document.load(StoredDocument(None, data)).element)
        with pytest.raises(DataProtectionError):
            trusted.verify(xml.parse(data))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 64 * len(data)


def test_the_namespaces_of_net_and_of_signatures_are_far_from_the_bounds() -> None:
    text = KEY.data.replace(b"<descriptor ", b'<descriptor xmlns:x="%b" ' % (b"u" * 900), 1)
    assert document.load(StoredDocument(None, text)).element.tag == "key"


def test_a_document_of_net_with_its_namespaces_is_parsed_the_quick_way() -> None:
    assert xml._is_plainly_bounded(KEY.data)


def test_a_refused_document_is_parsed_once_and_not_at_each_change(monkeypatch: pytest.MonkeyPatch) -> None:
    bad = [StoredDocument(f"notes-{number}", b"<settings>%d</settings>" % number) for number in range(5)]
    store = ring_of(KEY, *bad)
    keys = manager(store)
    keys.read()
    parsed: list[bytes] = []

    def counted(data: bytes) -> ET.Element:
        parsed.append(data)
        return parse(data)

    monkeypatch.setattr(xml, "parse", counted)
    store.inner.commit(add=[key_document()], expected=store.inner.version())
    assert len(keys.read().set_aside) == 5
    assert len(parsed) == 1


def test_the_same_bytes_under_another_name_are_judged_again() -> None:
    store = ring_of(KEY, StoredDocument("notes", b"<revocation"))
    keys = manager(store)
    assert keys.read().lost_revocation == ""
    store.inner.commit(add=[StoredDocument("revocation-x", b"<revocation")], expected=store.inner.version())
    assert "revocation-x" in keys.read().lost_revocation


def test_a_store_with_thousands_of_bad_documents_writes_twenty_lines(caplog: pytest.LogCaptureFixture) -> None:
    keys = manager(ring_of(KEY, *(StoredDocument(f"notes-{number}", b"x%d" % number) for number in range(500))))
    keys.read()
    lines = events(caplog, "document_set_aside")
    assert len(lines) == 21
    assert "480 more documents" in str(lines[-1]["problem"])
    keys.read()
    assert len(events(caplog, "document_set_aside")) == 21


def test_a_store_with_too_many_documents_is_an_error_that_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(interfaces, "MAX_DOCUMENTS", 3)
    for store in (MemoryKeyRepository(), FileKeyRepository(tmp_path)):
        store.commit(add=[key_document() for _ in range(4)], expected=store.version())
        with pytest.raises(RepositoryError, match="more than 3 documents") as caught:
            manager(store).read()
        assert "dpm keys prune" in caught.value.hint


def test_a_store_with_too_much_text_is_an_error_that_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(interfaces, "MAX_TOTAL_SIZE", 1024)
    for store in (MemoryKeyRepository(), FileKeyRepository(tmp_path)):
        store.commit(add=[key_document() for _ in range(4)], expected=store.version())
        with pytest.raises(RepositoryError, match="MB in all"):
            manager(store).read()


def test_a_blob_of_sixteen_million_elements_is_refused_at_the_first_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dpmiddleware.repositories.markup.MAX_DOCUMENTS", 10)
    with pytest.raises(MalformedDocumentError, match="more than 10 documents"):
        split(b"<repository>" + b"<a/>" * 11 + b"</repository>")


# --- UTF-16 that is only declared -------------------------------------------------------------------------------------

DECLARATIONS = [
    '<?xml version="1.0" encoding="utf-16"?>',
    "<?xml version='1.0' encoding='UTF-16'?>",
    '<?xml version="1.0" encoding = "utf-16" standalone="yes"?>\r\n',
    '<?xml version="1.0" encoding="unicode"?>',
    '<?xml version="1.0" encoding="utf-16le"?>',
]


@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["no mark", "a mark"])
@pytest.mark.parametrize("declaration", DECLARATIONS)
def test_a_revocation_that_declares_utf_16_in_a_string_was_missed(declaration: str, mark: str) -> None:
    """.NET's XmlWriter puts this declaration into strings, and .NET reads it."""
    for one in (KEY, REVOCATION):
        text = (mark + declaration).encode() + one.data
        assert canonical(parse(text)) == canonical(parse(one.data))
        blob = (mark + declaration).encode() + b"<repository>" + one.data + b"</repository>"
        assert split(blob)[0].data == one.data
    store = ring_of(KEY, StoredDocument(None, (mark + declaration).encode() + REVOCATION.data))
    (key,) = manager(store).read().keys
    assert key.state(Instant.of(NOON)) is KeyState.REVOKED


def test_utf_16_that_is_utf_16_is_still_read() -> None:
    text = '<?xml version="1.0" encoding="utf-16"?>' + REVOCATION.data.decode()
    assert canonical(parse(text.encode("utf-16"))) == canonical(parse(REVOCATION.data))


def test_a_blob_that_declares_utf_16_is_written_as_utf_8() -> None:
    blob = b'<?xml version="1.0" encoding="utf-16"?><repository>' + KEY.data + b"</repository>"
    written = edit(blob, [REVOCATION], ())
    assert written.startswith(b'<?xml version="1.0" encoding="utf-8"?><repository>')
    assert [one.data for one in split(written)] == [KEY.data, REVOCATION.data]


# --- a ring in another shape ------------------------------------------------------------------------------------------


SHAPES = [
    "<repository>{}</repository>",
    "<root>{}</root>",
    "<keys>{}</keys>",
    "<a><b>{}</b></a>",
    '<?xml version="1.0" encoding="utf-8"?>\n<repository xmlns="urn:x">{}</repository>',
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["keys", None, "backup-2026"])
def test_a_ring_in_one_text_counted_as_absent(shape: str, name: str | None) -> None:
    store = ring_of(StoredDocument(name, shape.format(KEY.data.decode()).encode()))
    with pytest.raises(DataProtectionError, match="cannot be read"):
        manager(store).load_ring()
    assert store.commits == 0
    (aside,) = manager(store).read().set_aside
    assert "dpm keys import" in aside.problem


def test_a_revocation_in_a_ring_in_one_text_is_not_passed_over() -> None:
    store = ring_of(KEY, StoredDocument("keys", b"<repository>" + REVOCATION.data + b"</repository>"))
    with pytest.raises(IncompleteReadingError, match="keys cannot be read"):
        manager(store).load_ring()


def test_a_ring_in_one_text_of_more_than_64_kb_is_not_absent_either(tmp_path: Path) -> None:
    (tmp_path / "keys.xml").write_bytes(b"<repository>" + KEY.data * 100 + b"</repository>")
    with pytest.raises(DataProtectionError, match="cannot be read"):
        DataProtection("shop", repository=tmp_path).create_protector("p").protect(b"x")
    assert [path.name for path in tmp_path.glob("*.xml")] == ["keys.xml"]


@pytest.mark.parametrize("text", ["<repository/>", "<settings><key id='a'/></settings>", "<keys/>"])
def test_other_xml_is_not_a_ring(text: str) -> None:
    store = ring_of(StoredDocument("settings", text.encode()))
    manager(store).load_ring()
    assert store.commits == 1


# --- white space ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("space", ["\u00a0", "\u2003", "\u0085", "\u3000", "\u2028"])
def test_the_canonical_form_strips_the_white_space_of_xml_only(space: str) -> None:
    plain, padded = parse(b"<a><b>text</b></a>"), parse(f"<a><b>{space}text{space}</b></a>".encode())
    assert canonical(plain) != canonical(padded)
    assert canonical(plain) == canonical(parse(b"<a>\r\n\t <b> \t\r\ntext </b> </a>"))
    with pytest.raises(MalformedDocumentError, match="text between elements"):
        canonical(parse(f"<a><b/>{space}</a>".encode()))
