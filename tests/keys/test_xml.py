"""XML from a store: bounded, strict, and canonical in any form."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpmiddleware.errors import MalformedDocumentError
from dpmiddleware.keys import xml
from dpmiddleware.keys.xml import MAX_ATTRIBUTES, MAX_DEPTH, MAX_SIZE, canonical, dump, parse, split_name

# --- bounds -----------------------------------------------------------------------------------------------------------


def nested(depth: int, inner: str = "") -> bytes:
    return ("<a>" * depth + inner + "</a>" * depth).encode()


def with_attributes(count: int) -> bytes:
    return ("<a " + " ".join(f'a{n}="{n}"' for n in range(count)) + "/>").encode()


def with_declarations(count: int, attributes: int = 0) -> bytes:
    said = [f'xmlns:n{n}="urn:{n}"' for n in range(count)] + [f'a{n}="{n}"' for n in range(attributes)]
    return ("<a " + " ".join(said) + "/>").encode()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(nested(MAX_DEPTH), id="32 levels"),
        pytest.param(with_attributes(MAX_ATTRIBUTES), id="64 attributes"),
        pytest.param(with_declarations(MAX_ATTRIBUTES), id="64 declarations"),
        pytest.param(with_declarations(32, 32), id="32 of each"),
        pytest.param(b"<a>" + b"x" * (MAX_SIZE - 7) + b"</a>", id="64 KB"),
        pytest.param(b"<a>" + b"<b/>" * 10_000 + b"</a>", id="10,000 children"),
        pytest.param(b"<?xml version='1.0' encoding='utf-8'?><a/>", id="a declaration"),
        pytest.param(b"\xef\xbb\xbf<a/>", id="a BOM"),
        pytest.param("<?xml version='1.0' encoding='utf-16'?><a/>".encode("utf-16"), id="UTF-16"),
        pytest.param(b"<?xml version='1.0' encoding='iso-8859-1'?><a>\xe9</a>", id="ISO 8859-1"),
        pytest.param(b"\n<!-- before --><a/><!-- behind -->\n", id="comments around"),
    ],
)
def test_what_is_within_the_bounds_is_read(data: bytes) -> None:
    assert parse(data).tag == "a"


BAD = [
    pytest.param(nested(MAX_DEPTH + 1), "levels", id="33 levels"),
    pytest.param(b"<a>" * 21_000, "levels", id="21,000 levels, never closed"),
    pytest.param(with_attributes(MAX_ATTRIBUTES + 1), "attributes", id="65 attributes"),
    pytest.param(with_declarations(MAX_ATTRIBUTES + 1), "attributes", id="65 declarations"),
    pytest.param(with_declarations(33, 32), "attributes", id="33 and 32"),
    pytest.param(b"<a>" + b"x" * (MAX_SIZE - 6) + b"</a>", "64 KB", id="a byte too many"),
    pytest.param(nested(100_000), "64 KB", id="100,000 levels"),
    pytest.param(b"<!DOCTYPE a><a/>", "document type", id="DTD"),
    pytest.param(b"<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>", "document type", id="external DTD"),
    pytest.param(
        b"<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>", "document type", id="external entity"
    ),
    pytest.param(
        b"<!DOCTYPE a [<!ENTITY x 'xxxxxxxxxx'><!ENTITY y '&x;&x;&x;&x;'>]><a>&y;&y;</a>", "document type", id="laughs"
    ),
    pytest.param(b"<a><?php x?></a>", "processing", id="processing instruction"),
    pytest.param(b"<?xml-stylesheet href='x'?><a/>", "processing", id="stylesheet"),
    pytest.param(b"<a/><?x?>", "processing", id="processing instruction behind"),
    pytest.param(b"", "not well-formed", id="nothing"),
    pytest.param(b"   ", "not well-formed", id="spaces"),
    pytest.param(b"<a", "not well-formed", id="cut off"),
    pytest.param(b"<a></b>", "not well-formed", id="crossed"),
    pytest.param(b"<a/><b/>", "not well-formed", id="two roots"),
    pytest.param(b"<a>&x;</a>", "not well-formed", id="unknown entity"),
    pytest.param(b"<a x='1' x='2'/>", "not well-formed", id="an attribute twice"),
    pytest.param(b"<a>\x00</a>", "not well-formed", id="a zero byte"),
    pytest.param(b"<a>\xff</a>", "not well-formed", id="no UTF-8"),
    pytest.param(b"<a>&#xFFFF;&#0;</a>", "not well-formed", id="no characters"),
    pytest.param(b"<x:a/>", "not well-formed", id="a prefix of nobody"),
    pytest.param(b"<?xml version='1.0' encoding='ebcdic'?><a/>", "not well-formed", id="an encoding of nobody"),
    pytest.param(b"<?xml version='1.0' encoding='utf-7'?><a/>", "not well-formed", id="UTF-7"),
    pytest.param(b"\xff\xfe<\x00", "not well-formed", id="UTF-16, cut off"),
    pytest.param(b"GIF89a", "not well-formed", id="a picture"),
]


@pytest.mark.parametrize(("data", "problem"), BAD)
def test_everything_else_is_one_error_that_says_what_is_wrong(data: bytes, problem: str) -> None:
    with pytest.raises(MalformedDocumentError, match=problem):
        parse(data)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(nested(100_000), id="100,000 levels"),
        pytest.param(b"<a>" * (100 * 1024 * 1024 // 3), id="100 MB of <a>"),
        pytest.param(b"\0" * (100 * 1024 * 1024), id="100 MB of zeros"),
    ],
)
def test_a_giant_is_refused_without_being_looked_at(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A document of any size costs only the check of its length."""
    monkeypatch.setattr("dpmiddleware.keys.xml.ET.XMLParser", lambda **_: pytest.fail("a parser was started"))
    with pytest.raises(MalformedDocumentError, match="64 KB"):
        parse(data)


# --- writing ----------------------------------------------------------------------------------------------------------

NAME = st.text("abcdefgh", min_size=1, max_size=6)
FEW = settings(max_examples=40)  # a document has dozens of places for errors
XML = "http://www.w3.org/XML/1998/namespace"
NAMESPACE = st.sampled_from(["", "urn:one", "urn:two"])
SPACE_OF_ATTRIBUTE = st.sampled_from(["", "urn:one", "urn:two", XML])
TEXT = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], include_characters="\t\n\r", exclude_characters="\ufffe\uffff"),
    max_size=20,
)


@st.composite
def trees(draw: st.DrawFn, depth: int = 2) -> ET.Element:
    """A small document: namespaces, attributes, texts, comments."""
    uri = draw(NAMESPACE)
    element = ET.Element(f"{{{uri}}}{draw(NAME)}" if uri else draw(NAME))
    element.text = draw(st.one_of(st.none(), TEXT))
    for name, value in draw(st.dictionaries(NAME, TEXT, max_size=3)).items():
        space = draw(SPACE_OF_ATTRIBUTE)
        element.set(f"{{{space}}}{name}" if space else name, value)
    if depth:
        for child in draw(st.lists(trees(depth=depth - 1), max_size=2)):
            element.append(child)
    return element


@FEW
@given(trees())
def test_what_was_written_is_read_as_the_same(tree: ET.Element) -> None:
    assert canonical(parse(dump(tree))) == canonical(tree)


@FEW
@given(trees())
def test_writing_is_a_function_of_the_tree(tree: ET.Element) -> None:
    once = dump(tree)
    assert dump(parse(once)) == dump(parse(dump(parse(once))))
    assert b"ns0" not in once


def test_attributes_of_several_namespaces_stay_well_formed() -> None:
    """A document of any origin may be written again, and must not be broken by that."""
    root = ET.Element("a", {f"{{{XML}}}space": "preserve", "{urn:one}x": "1", "{urn:two}x": "2", "{urn:one}y": "3"})
    assert parse(dump(root)).attrib == root.attrib
    assert b' p1:x="1" xmlns:p1="urn:one"' in dump(root)


def test_carriage_returns_survive() -> None:
    """As .NET writes Windows line ends; a signature covers the text as it is read."""
    root = ET.Element("a", {"b": "1\r\n2"})
    root.text = "x\r\ny\rz"
    assert parse(dump(root)).text == root.text
    assert parse(dump(root)).attrib == root.attrib


def test_it_writes_as_net_does() -> None:
    """Compact, a namespace declared where it begins, the prefix of an attribute from its depth."""
    root = ET.Element("key", {"id": "x"})
    root.append(ET.Comment(" said "))
    ET.SubElement(root, "{urn:one}secret", {"{urn:two}kind": "a&b", "plain": '"quoted"'}).text = "<>&"
    ET.SubElement(root, "empty")
    assert dump(root) == (
        b'<key id="x"><!-- said --><secret p2:kind="a&amp;b" xmlns:p2="urn:two" plain="&quot;quoted&quot;"'
        b' xmlns="urn:one">&lt;&gt;&amp;</secret><empty /></key>'
    )


def test_an_expanded_name_has_two_parts() -> None:
    assert split_name("{urn:one}a") == ("urn:one", "a")
    assert split_name("a") == ("", "a")


# --- the canonical form -----------------------------------------------------------------------------------------------

DOCUMENT = (
    '<key xmlns:p="urn:one" id="1" version="2"><creationDate>2026-11-22T12:00:00Z</creationDate>'
    '<p:secret p:kind="a" kind="b">AAEC</p:secret><empty/></key>'
)
SAME = [
    pytest.param(lambda text: text.replace("><", ">\n  <"), id="indented"),
    pytest.param(lambda text: text.replace("><", ">\r\n\t<"), id="indented with CRLF"),
    pytest.param(lambda text: text.replace("p:", "q:").replace("xmlns:p", "xmlns:q"), id="another prefix"),
    pytest.param(
        lambda text: text.replace("p:secret ", 'secret xmlns="urn:one" ').replace("/p:secret", "/secret"),
        id="as the default namespace",
    ),
    pytest.param(lambda text: text.replace('id="1" version="2"', "version='2'  id='1'"), id="attributes"),
    pytest.param(lambda text: text.replace("<empty/>", "<empty></empty>"), id="an empty element in two tags"),
    pytest.param(lambda text: text.replace("<empty/>", "<empty>  \n </empty>"), id="an empty element with spaces"),
    pytest.param(lambda text: text.replace(">AAEC<", ">\n AAEC \n<"), id="spaces around a text"),
    pytest.param(lambda text: text.replace(">AAEC<", ">AA<!-- in between -->EC<"), id="a comment in a text"),
    pytest.param(lambda text: text.replace("><", "><!-- here --><"), id="comments between"),
    pytest.param(lambda text: text.replace(">AAEC<", "><![CDATA[AAEC]]><"), id="CDATA"),
    pytest.param(lambda text: text.replace(">AAEC<", ">&#65;AEC<"), id="a character reference"),
    pytest.param(lambda text: "<?xml version='1.0'?>\n<!-- hello -->" + text + "\n<!-- bye -->", id="around it"),
]


@pytest.mark.parametrize("change", SAME)
def test_what_says_the_same_has_the_same_canonical_form(change: Callable[[str], str]) -> None:
    assert change(DOCUMENT) != DOCUMENT
    assert canonical(parse(change(DOCUMENT).encode())) == canonical(parse(DOCUMENT.encode()))


DIFFERENT = [
    pytest.param(lambda text: text.replace("AAEC", "AAED"), id="a text"),
    pytest.param(lambda text: text.replace("AAEC", "AA EC"), id="a space in a text"),
    pytest.param(lambda text: text.replace("AAEC", ""), id="a text that is gone"),
    pytest.param(lambda text: text.replace('id="1"', 'id="2"'), id="an attribute"),
    pytest.param(lambda text: text.replace('id="1"', 'id=" 1"'), id="a space in an attribute"),
    pytest.param(lambda text: text.replace('id="1"', 'Id="1"'), id="an attribute's name"),
    pytest.param(lambda text: text.replace('id="1" ', ""), id="an attribute that is gone"),
    pytest.param(lambda text: text.replace('p:kind="a" kind="b"', 'p:kind="b" kind="a"'), id="two attributes swapped"),
    pytest.param(lambda text: text.replace('p:kind="a" ', 'p:kind="a" more="" '), id="an attribute more"),
    pytest.param(lambda text: text.replace("urn:one", "urn:two"), id="a namespace"),
    pytest.param(lambda text: text.replace("p:secret", "secret"), id="no namespace"),
    pytest.param(lambda text: text.replace("<empty/>", ""), id="an element that is gone"),
    pytest.param(lambda text: text.replace("<empty/>", "<empty/><empty/>"), id="an element more"),
    pytest.param(lambda text: text.replace("<empty/>", "<empty><empty/></empty>"), id="an element inside"),
    pytest.param(lambda text: text.replace("<empty/>", "").replace('"2">', '"2"><empty/>'), id="order"),
]


@pytest.mark.parametrize("change", DIFFERENT)
def test_what_says_something_else_has_another_canonical_form(change: Callable[[str], str]) -> None:
    assert change(DOCUMENT) != DOCUMENT
    assert canonical(parse(change(DOCUMENT).encode())) != canonical(parse(DOCUMENT.encode()))


@FEW
@given(trees(), st.data())
def test_every_change_of_a_text_or_attribute_shows(tree: ET.Element, data: st.DataObject) -> None:
    before = canonical(tree)
    element = data.draw(st.sampled_from(list(tree.iter())))
    name = data.draw(st.sampled_from(["", *sorted(element.attrib)]))
    if name:
        element.set(name, element.attrib[name] + "x")
    else:
        element.text = (element.text or "") + "x"
    assert canonical(tree) != before


@FEW
@given(trees())
def test_the_order_of_attributes_does_not_show(tree: ET.Element) -> None:
    before = canonical(tree)
    for element in tree.iter():
        turned = dict(reversed(list(element.attrib.items())))
        element.attrib.clear()
        element.attrib.update(turned)
    assert canonical(tree) == before


def test_no_text_slips_from_one_field_into_the_next() -> None:
    """Lengths come first: a name and its value cannot be read as another name and value."""
    forms = {canonical(parse(text)) for text in (b"<a b='c'/>", b"<a bc=''/>", b"<ab c=''/>", b"<a>bc</a>", b"<abc/>")}
    assert len(forms) == 5


def test_text_between_elements_is_refused() -> None:
    with pytest.raises(MalformedDocumentError, match="between elements"):
        canonical(parse(b"<a><b/>said<c/></a>"))


def test_an_element_is_left_out_wherever_it_stands() -> None:
    with_signature = parse(b"<a><s>1</s><b><s>2</s></b></a>")
    assert canonical(with_signature, frozenset({"s"})) == canonical(parse(b"<a><b/></a>"))
    assert canonical(with_signature) != canonical(parse(b"<a><b/></a>"))


def test_depth_costs_no_stack() -> None:
    """A tree in memory that no document can contain."""
    root = element = ET.Element("a")
    for _ in range(20_000):
        element = ET.SubElement(element, "a")
    assert len(canonical(root)) == 20_001 * (len(canonical(ET.Element("a"))))


def test_the_names_of_this_packages_own_elements_are_in_its_namespace() -> None:
    assert split_name(xml.SIGNATURE) == (xml.NAMESPACE, "signature")
