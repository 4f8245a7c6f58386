"""Elements cut out of texts and inserted into them."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpmiddleware.errors import ConfigurationError, MalformedDocumentError
from dpmiddleware.keys.interfaces import StoredDocument
from dpmiddleware.keys.xml import MAX_SIZE, TOO_LARGE
from dpmiddleware.repositories.markup import EMPTY_REPOSITORY, bare, edit, split
from dpmiddleware.urls import take_options

DECLARED = '<?xml version="1.0" encoding="utf-8"?>'


@pytest.mark.parametrize(
    "data",
    [
        pytest.param("<key>é</key>".encode(), id="bare already"),
        pytest.param(b"\xef\xbb\xbf" + f"{DECLARED}\r\n<key>é</key>\n".encode(), id="as .NET writes files"),
        pytest.param('<?xml version="1.0" encoding="UTF-16"?><key>é</key>'.encode("utf-16"), id="UTF-16"),
        pytest.param("<?xml version='1.0' encoding='iso-8859-1'?><key>é</key>".encode("latin-1"), id="Latin 1"),
        pytest.param("<!-- before --><key>é</key><!-- after -->".encode(), id="comments around it"),
    ],
)
def test_a_document_becomes_its_root_element_in_utf_8(data: bytes) -> None:
    assert bare(data) == "<key>é</key>".encode()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"<key>", id="cut short"),
        pytest.param(b"<key /><key />", id="two roots"),
        pytest.param(b"<!DOCTYPE key><key />", id="a DTD"),
        pytest.param(b'<?xml version="1.0" encoding="utf-7"?><key />', id="an encoding of no one"),
        pytest.param(b"<key>" + b" " * MAX_SIZE + b"</key>", id="too large"),
    ],
)
def test_what_is_no_document_is_not_stored(data: bytes) -> None:
    with pytest.raises(MalformedDocumentError):
        bare(data)


@pytest.mark.parametrize(
    ("text", "elements"),
    [
        pytest.param("<repository><a/><b>1</b></repository>", ["<a/>", "<b>1</b>"], id="two"),
        pytest.param(f"\ufeff{DECLARED}<repository>\n  <a />\n</repository>\n", ["<a />"], id="indented, with BOM"),
        pytest.param("<repository/>", [], id="none, in one tag"),
        pytest.param("<repository></repository>", [], id="none"),
        pytest.param("<keys><a/></keys>", ["<a/>"], id="a root of another name"),
        pytest.param("<r><!-- <x/> --><?pi <y/> ?><a/></r>", ["<a/>"], id="comments and instructions between"),
        pytest.param("<r><a b='/>' c=\">\"></a ><a/></r>", ["<a b='/>' c=\">\"></a >", "<a/>"], id="tags in values"),
        pytest.param("<r><a>/></a><a><a/></a></r>", ["<a>/></a>", "<a><a/></a>"], id="ends of tags in text"),
        pytest.param("<r><a><![CDATA[</a>]]></a></r>", ["<a><![CDATA[</a>]]></a>"], id="CDATA"),
        pytest.param("<r>text<a>é</a>text</r>", ["<a>é</a>"], id="text between"),
        pytest.param('<r xmlns:x="urn:x"><a/></r>', ["<a/>"], id="a prefix that nobody uses"),
    ],
)
def test_a_repository_is_split_into_its_elements(text: str, elements: list[str]) -> None:
    assert [document.data.decode() for document in split(text.encode())] == elements


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("<repository><key>", id="cut short"),
        pytest.param("<repository></repository><key/>", id="two roots"),
        pytest.param("<!DOCTYPE r [<!ENTITY e 'x'>]><r>&e;</r>", id="a DTD"),
        pytest.param('<r xmlns="urn:foreign"><key/></r>', id="elements of another namespace"),
        pytest.param("no XML", id="no XML"),
    ],
)
def test_a_repository_that_cannot_be_read_whole_is_not_read_at_all(text: str) -> None:
    with pytest.raises(MalformedDocumentError):
        split(text.encode())


def test_an_element_that_is_too_large_is_named_and_left_out() -> None:
    small, large = split(b"<r><a/><b>" + b" " * MAX_SIZE + b"</b></r>")
    assert (small.data, small.problem) == (b"<a/>", "")
    assert (large.data, large.problem) == (b"", TOO_LARGE)


@pytest.mark.parametrize("data", [b"", b" \r\n"])
def test_an_empty_text_is_one_problem_that_the_next_edit_takes_away(data: bytes) -> None:
    (problem,) = split(data)
    assert problem.problem == "empty"
    edited = edit(data, [StoredDocument(None, b"<key />")], [])
    assert edited == EMPTY_REPOSITORY.replace(b"></", b"><key /></")


def test_what_is_not_edited_stays_as_it_was_byte_by_byte() -> None:
    text = b"\xef\xbb\xbf<?xml version='1.0'?>\n<repository>\n <a  x='1' ><!-- 1 --></a >\n <b/> <c/>\n</repository>\n"
    gone = [document for document in split(text) if document.data == b"<b/>"]
    assert edit(text, [StoredDocument(None, b"<d/>")], gone) == text[3:].replace(b"<b/>", b"").replace(
        b"</repository>", b"<d/></repository>"
    )


def test_a_repository_in_another_encoding_becomes_utf_8() -> None:
    text = "<?xml version='1.0' encoding='iso-8859-1'?><r><a>é</a></r>".encode("latin-1")
    edited = edit(text, [StoredDocument(None, "<b>∀</b>".encode())], [])
    assert [document.data.decode() for document in split(edited)] == ["<a>é</a>", "<b>∀</b>"]
    assert ET.fromstring(edited).tag == "r"


@given(st.lists(st.text(alphabet="<>/\"'ab= é&;-!]", max_size=12), max_size=6), st.data())
def test_what_is_put_in_comes_out_and_nothing_else_moves(texts: list[str], data: st.DataObject) -> None:
    elements = [f"<key>{ET.tostring(_element(text), encoding='unicode')}</key>".encode() for text in texts]
    whole = edit(b"", [StoredDocument(None, element) for element in elements], [])
    found = split(whole)
    if not elements:
        assert found == ()
        return
    assert [document.data for document in found] == elements
    gone = data.draw(st.sets(st.sampled_from(range(len(elements)))))
    left = split(edit(whole, [], [found[number] for number in gone]))
    assert [document.data for document in left] == [e for number, e in enumerate(elements) if number not in gone]


def _element(text: str) -> ET.Element:
    element = ET.Element("a", {"b": text})
    element.text = text
    return element


# --- parameters of a URL ----------------------------------------------------------------------------------------------


def test_our_parameters_are_taken_and_the_others_stay_as_written() -> None:
    url, taken = take_options("redis://h/0?a=%2F&key=x%2Fy+z&b=1&password=env:P", "key", "password")
    assert url == "redis://h/0?a=%2F&b=1"
    assert taken == {"key": "x/y z", "password": "env:P"}
    assert take_options("redis://h/0?key=k", "key") == ("redis://h/0", {"key": "k"})
    assert take_options("redis://h/0", "key") == ("redis://h/0", {})


@pytest.mark.parametrize("url", ["redis://h?key=", "redis://h?key", "redis://h?key=a&key=b"])
def test_a_parameter_that_is_empty_or_given_twice_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError):
        take_options(url, "key")
