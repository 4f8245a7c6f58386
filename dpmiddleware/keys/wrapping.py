"""The master key inside a key document: wrapped, unwrapped, replaced. ::

    <masterKey>…</masterKey>                                               not wrapped
    <encryptedSecret decryptorType="type, assembly">…</encryptedSecret>    wrapped; the type says what unwraps its child

.NET's null encryptor writes the second form around an unencrypted master key: such a key is not wrapped.
"""

from __future__ import annotations

import hashlib
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from dpmiddleware.crypto.encryptors import Suite
from dpmiddleware.crypto.secret import Secret
from dpmiddleware.dotnet_types import DATA_PROTECTION, plain_type_name, type_in
from dpmiddleware.errors import ConfigurationError, KeyUnwrapError, MalformedDocumentError
from dpmiddleware.keys.descriptor import read_secret, read_suite, secret_element
from dpmiddleware.keys.document import KeyDocument, guid
from dpmiddleware.keys.interfaces import Binding, KeyWrapper, RewrappingService
from dpmiddleware.keys.xml import ENCRYPTED_SECRET, SIGNATURE, canonical
from dpmiddleware.printable import printable

__all__ = ["is_wrapped", "replace_wrapping", "unwrap", "wrap"]

_PLACES: Final = frozenset({"masterKey", ENCRYPTED_SECRET})
_NULL_ENCRYPTOR: Final = type_in(DATA_PROTECTION, "XmlEncryption.NullXmlDecryptor")


def is_wrapped(document: KeyDocument) -> bool:
    """Whether the master key is encrypted. A descriptor that cannot be read counts as wrapped."""
    try:
        _, _, place = _descriptors(document.element)
    except MalformedDocumentError:
        return True
    return place.tag == ENCRYPTED_SECRET and plain_type_name(place.get("decryptorType", "")) != _NULL_ENCRYPTOR


def unwrap(document: KeyDocument, wrappers: Sequence[KeyWrapper], ring: str) -> tuple[Suite, Secret]:
    """The algorithm of a key, and its master key, which may also be one that is not wrapped.

    `KeyUnwrapError` if no wrapper opens it. `MalformedDocumentError` or `UnsupportedAlgorithmError` if the descriptor
    cannot be read.
    """
    outer, inner, place = _descriptors(document.element)
    suite = read_suite(outer, inner)
    if place.tag != ENCRYPTED_SECRET:
        return suite, read_secret(place)
    kind = plain_type_name(place.get("decryptorType", ""))
    if len(place) != 1:
        raise MalformedDocumentError("<encryptedSecret> does not have exactly one child")
    if kind == _NULL_ENCRYPTOR and len(place[0]) == 1:
        return suite, read_secret(place[0][0])
    matching = [wrapper for wrapper in wrappers if kind in wrapper.decryptor_types]
    if not matching:
        raise KeyUnwrapError(
            f"no configured key wrapper unwraps {printable(kind.partition(',')[0], 100)!r}",
            hint="add the wrapper that this key was wrapped with to key_wrapper=",
        )
    return suite, _first_opened(place[0], matching, _binding(document.element, ring))


def wrap(element: ET.Element, wrapper: KeyWrapper, ring: str) -> None:
    """Replace the ``<masterKey>`` of a ``<key>`` by ``<encryptedSecret>``. `ConfigurationError` if it is wrapped."""
    _, inner, place = _descriptors(element)
    if place.tag != "masterKey":
        raise ConfigurationError("the key is wrapped already", hint="unwrap it first, as `dpm keys rewrap` does")
    decryptor_type, encrypted = wrapper.wrap(place, _binding(element, ring))
    wrapped = ET.Element(ENCRYPTED_SECRET, {"decryptorType": decryptor_type})
    wrapped.append(encrypted)
    _put(inner, place, wrapped)


def replace_wrapping(document: KeyDocument, wrapper: KeyWrapper, old: Sequence[KeyWrapper], ring: str) -> bool:
    """Wrap the master key under ``wrapper``; ``False`` if it is wrapped under it already.

    old: wrappers that open the present wrapping. ring: the ring's name.

    If the key of the wrapper's service has a newer version, the wrapping is renewed with it.
    """
    _, inner, place = _descriptors(document.element)
    if _opens(wrapper, document, ring):
        renewed = wrapper.rewrap(place[0]) if isinstance(wrapper, RewrappingService) else None
        if renewed is not None:
            place[0] = renewed
        return renewed is not None
    _, secret = unwrap(document, old, ring)
    _put(inner, place, secret_element(secret))
    wrap(document.element, wrapper, ring)
    return True


def _opens(wrapper: KeyWrapper, document: KeyDocument, ring: str) -> bool:
    """Whether a key is wrapped under this certificate, secret or key of a service."""
    if not is_wrapped(document):
        return False
    try:
        unwrap(document, [wrapper], ring)
    except KeyUnwrapError:
        return False
    return True


def _first_opened(encrypted: ET.Element, wrappers: Sequence[KeyWrapper], binding: Binding) -> Secret:
    """Try every wrapper of the kind: there may be several certificates or secrets. The error is the last one's."""
    *others, last = wrappers
    for wrapper in others:
        with suppress(KeyUnwrapError):
            return read_secret(wrapper.unwrap(encrypted, binding))
    return read_secret(last.unwrap(encrypted, binding))


def _descriptors(element: ET.Element) -> tuple[ET.Element, ET.Element, ET.Element]:
    """The outer descriptor, the inner one, and the one ``<masterKey>`` or ``<encryptedSecret>`` in that."""
    outer = element.find("descriptor")
    if outer is None or len(outer) != 1:
        raise MalformedDocumentError("<descriptor> does not have exactly one child")
    found = [child for child in outer[0] if child.tag in _PLACES]
    if len(found) != 1:
        raise MalformedDocumentError("the descriptor does not have exactly one master key")
    return outer, outer[0], found[0]


def _put(parent: ET.Element, old: ET.Element, new: ET.Element) -> None:
    parent[list(parent).index(old)] = new


def _binding(element: ET.Element, ring: str) -> Binding:
    """What a wrapping belongs to; the same before and after wrapping and signing."""
    digest = hashlib.sha256(canonical(element, _PLACES | {SIGNATURE})).digest()
    return Binding(ring, guid(element.get("id", "")), digest)
