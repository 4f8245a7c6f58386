"""Keys encrypted by Windows' DPAPI. What needs Windows runs there, or through Wine (`tests/test_windows.py`)."""

from __future__ import annotations

import json
import sys
import xml.etree.ElementTree as ET
from base64 import b64decode
from typing import Any

import pytest

from dpmiddleware.at_rest.dpapi import DpapiKeyWrapper
from dpmiddleware.errors import ConfigurationError, KeyUnwrapError
from dpmiddleware.keys.interfaces import KeyWrapper
from dpmiddleware.keys.xml import dump, parse
from dpmiddleware.testing.contracts.key_wrapper import KeyWrapperContract
from dpmiddleware.testing.contracts.wrappings import BINDING, MASTER_KEY, changed, master_key, unwrapped
from tests.interop.vectors import VECTORS

windows = pytest.mark.skipif(sys.platform != "win32", reason="DPAPI is Windows'; run by tests/test_windows.py")


def wrapped(wrapper: KeyWrapper) -> ET.Element:
    return wrapper.wrap(master_key(), BINDING)[1]


@windows
class TestContract(KeyWrapperContract):
    authenticates = False
    binds = False

    @pytest.fixture(params=["dpapi:", "dpapi:machine"])
    def wrapper(self, request: pytest.FixtureRequest) -> KeyWrapper:
        return DpapiKeyWrapper.from_url(request.param)

    @pytest.fixture
    def stranger(self) -> KeyWrapper:
        """There is no second user here; other entropy is refused in the same way."""
        other = DpapiKeyWrapper()
        other._entropy = b"something else"
        return other

    @pytest.fixture
    def unreachable(self, stranger: KeyWrapper) -> KeyWrapper:
        return stranger

    def test_a_changed_wrapping_gives_an_error_and_never_another_key(self, wrapper: KeyWrapper) -> None:
        """Windows refuses every change; Wine's imitation overlooks some, but never returns another key."""
        for copy in changed(wrapped(wrapper)):
            try:
                assert unwrapped(wrapper, copy) == MASTER_KEY
            except KeyUnwrapError:
                continue


@windows
def test_the_scopes_open_each_other() -> None:
    """The flag has a meaning only for encryption, as in .NET."""
    user, machine = DpapiKeyWrapper(), DpapiKeyWrapper(machine=True)
    assert unwrapped(user, wrapped(machine)) == unwrapped(machine, wrapped(user)) == MASTER_KEY


@windows
def test_what_windows_encrypts_is_a_whole_document() -> None:
    from dpmiddleware.at_rest.dpapi import _crypt

    blob = b64decode(wrapped(DpapiKeyWrapper()).findtext("value") or "")
    plaintext = _crypt("CryptUnprotectData", blob, b"DPAPI-Protected Secret", 1)
    assert plaintext == b'\xef\xbb\xbf<?xml version="1.0" encoding="utf-8"?>' + dump(master_key())


@pytest.mark.skipif(sys.platform == "win32", reason="what happens elsewhere")
def test_elsewhere_nothing_is_wrapped_and_the_error_says_what_to_do() -> None:
    with pytest.raises(ConfigurationError, match="only Windows has DPAPI"):
        wrapped(DpapiKeyWrapper())
    with pytest.raises(KeyUnwrapError, match="only Windows has") as caught:
        DpapiKeyWrapper().unwrap(_samples()[0], BINDING)
    assert "rewrap" in caught.value.hint


@pytest.mark.parametrize("url", ["dpapi:domain", "dpapi://machine", "dpapi:machine?x=1", "dpapi:/machine"])
def test_another_scope_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError):
        DpapiKeyWrapper.from_url(url)


def _rings() -> list[dict[str, Any]]:
    rings: list[dict[str, Any]] = json.loads((VECTORS / "registry-key-rings.json").read_text("utf-8"))
    return rings


def _samples() -> list[ET.Element]:
    """The wrappings that .NET wrote with DPAPI (under Wine)."""
    texts = [value["text"] for ring in _rings() for value in ring["registry"]]
    elements = [parse(text.encode()).find(".//encryptedKey") for text in texts]
    return [element for element in elements if element is not None]


def test_dotnets_wrappings_have_the_form_that_is_read_here() -> None:
    samples = _samples()
    assert len(samples) == 10
    for sample in samples:
        assert [child.tag for child in sample] == ["value"]
        assert b64decode(sample.findtext("value") or "")


def test_what_dotnet_encrypted_is_read_as_a_master_key() -> None:
    """The plaintexts as CryptUnprotectData returned them."""
    from dpmiddleware.at_rest.elements import master_key_in

    plaintexts = [b64decode(ring["unwrapped_base64"]) for ring in _rings() if ring.get("unwrapped_base64")]
    assert len(plaintexts) == 10
    for plaintext in plaintexts:
        assert plaintext.startswith(b"\xef\xbb\xbf<?xml")
        assert master_key_in(plaintext).tag == "masterKey"
