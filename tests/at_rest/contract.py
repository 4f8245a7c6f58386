"""The contract of `dpmiddleware.keys.interfaces.KeyWrapper` as one suite, which the tests of your wrapper can inherit.

A test class provides its wrapper, one of the same kind with other keys, and one whose keys cannot be reached. It states
whether wrappings authenticate their content (``authenticates``) and the place of the key (``binds``).
"""

from __future__ import annotations

import logging
import os
import pickle
import traceback
import xml.etree.ElementTree as ET
from abc import ABC, abstractmethod
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from uuid import UUID

import pytest

from dpmiddleware.crypto.secret import Secret
from dpmiddleware.dotnet_types import plain_type_name
from dpmiddleware.errors import ConfigurationError, KeyUnwrapError, MalformedDocumentError
from dpmiddleware.keys.descriptor import read_secret, secret_element
from dpmiddleware.keys.interfaces import Binding, KeyWrapper, StoredDocument
from dpmiddleware.keys.maintenance import rewrap
from dpmiddleware.keys.manager import KeyManager
from dpmiddleware.keys.xml import ENCRYPTED_SECRET, dump, parse
from tests.fakes import DAY, NOON, StoppedClock, id_of, key_document, manager, put, revocation_document, ring_of
from tests.frames import shown_in
from tests.repositories.contract import in_a_fork

__all__ = ["BINDING", "MASTER_KEY", "KeyWrapperContract", "master_key", "reread", "unwrapped"]

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
    return secret_element(Secret(MASTER_KEY))


def reread(encrypted: ET.Element) -> ET.Element:
    """The wrapping as it is read from a store."""
    place = ET.Element(ENCRYPTED_SECRET)
    place.append(encrypted)
    return parse(dump(place))[0]


def unwrapped(wrapper: KeyWrapper, encrypted: ET.Element, binding: Binding = BINDING) -> bytes:
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


class Watched:
    """A key wrapper whose calls are counted. Its service can be replaced by an unreachable one: ``away``."""

    def __init__(self, inner: KeyWrapper) -> None:
        self._inner = inner
        self.away: KeyWrapper | None = None
        self.calls = 0

    @property
    def decryptor_types(self) -> frozenset[str]:
        return self._inner.decryptor_types

    def wrap(self, secret: ET.Element, binding: Binding) -> tuple[str, ET.Element]:
        self.calls += 1
        return (self.away or self._inner).wrap(secret, binding)

    def unwrap(self, encrypted: ET.Element, binding: Binding) -> ET.Element:
        self.calls += 1
        return (self.away or self._inner).unwrap(encrypted, binding)


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


class KeyWrapperContract(ABC):
    """Inherit this and define the fixtures to test the contract."""

    authenticates = True
    binds = True

    @pytest.fixture
    @abstractmethod
    def wrapper(self) -> KeyWrapper:
        """The wrapper to test, with its real service."""

    @pytest.fixture
    @abstractmethod
    def stranger(self) -> KeyWrapper:
        """One of the same kind with other keys."""

    @pytest.fixture
    @abstractmethod
    def unreachable(self) -> KeyWrapper:
        """One whose keys cannot be reached: the file is deleted, the service down. Creating it must not fail."""

    @pytest.fixture
    def canaries(self) -> list[bytes]:
        """Secrets in this wrapper's configuration, which must never be shown."""
        return []

    def test_what_was_wrapped_is_unwrapped(self, wrapper: KeyWrapper) -> None:
        _, encrypted = wrapper.wrap(master_key(), BINDING)
        assert unwrapped(wrapper, encrypted) == MASTER_KEY

    def test_the_type_it_writes_is_one_that_it_unwraps(self, wrapper: KeyWrapper) -> None:
        decryptor_type, _ = wrapper.wrap(master_key(), BINDING)
        assert plain_type_name(decryptor_type) in wrapper.decryptor_types

    def test_nothing_of_the_key_stands_in_clear(self, wrapper: KeyWrapper) -> None:
        written = dump(wrapper.wrap(master_key(), BINDING)[1])
        assert b64encode(MASTER_KEY) not in written
        assert b"CANARY" not in written

    def test_wrapping_leaves_the_element_as_it_was(self, wrapper: KeyWrapper) -> None:
        element = master_key()
        wrapper.wrap(element, BINDING)
        assert dump(element) == dump(master_key())

    def test_wrapping_twice_gives_two_texts(self, wrapper: KeyWrapper) -> None:
        first, second = (dump(wrapper.wrap(master_key(), BINDING)[1]) for _ in range(2))
        assert first != second

    def test_a_stranger_does_not_open_it(self, wrapper: KeyWrapper, stranger: KeyWrapper) -> None:
        _, encrypted = wrapper.wrap(master_key(), BINDING)
        with pytest.raises(KeyUnwrapError):
            unwrapped(stranger, encrypted)

    def test_no_frame_of_an_error_holds_a_key(
        self, wrapper: KeyWrapper, stranger: KeyWrapper, unreachable: KeyWrapper, canaries: list[bytes]
    ) -> None:
        """Error reporters send local variables along."""
        _, encrypted = wrapper.wrap(master_key(), BINDING)
        calls: list[Callable[[], object]] = [
            partial(unreachable.wrap, master_key(), BINDING),
            partial(unreachable.unwrap, encrypted, BINDING),
        ]
        calls += [partial(stranger.unwrap, encrypted, BINDING)]
        calls += [partial(wrapper.unwrap, copy, BINDING) for copy in changed(encrypted)]
        errors: list[Exception] = []
        for call in calls:
            try:
                call()
            except Exception as error:  # noqa: BLE001 (whatever it is, it goes to be searched)
                errors.append(error)
        assert errors
        assert [found for error in errors for found in shown_in(error, [MASTER_KEY, *canaries])] == []

    def test_indenting_changes_nothing(self, wrapper: KeyWrapper) -> None:
        _, encrypted = wrapper.wrap(master_key(), BINDING)
        ET.indent(encrypted)
        assert unwrapped(wrapper, encrypted) == MASTER_KEY

    def test_a_changed_wrapping_gives_an_error_and_never_another_key(self, wrapper: KeyWrapper) -> None:
        _, encrypted = wrapper.wrap(master_key(), BINDING)
        copies = list(changed(encrypted))
        assert copies
        for copy in copies:
            if self.authenticates:
                with pytest.raises(KeyUnwrapError):
                    wrapper.unwrap(copy, BINDING)
            else:
                _fails_or_differs(wrapper, copy, same=self.names_the_same_key(encrypted, copy))

    def names_the_same_key(self, encrypted: ET.Element, copy: ET.Element) -> bool:
        """Whether the two differ only in how they name the key that opens them; then both may give the same."""
        return False

    @pytest.mark.parametrize("binding", [pytest.param(b, id=name) for name, b in OTHER_BINDINGS.items()])
    def test_it_opens_only_where_it_belongs(self, wrapper: KeyWrapper, binding: Binding) -> None:
        _, encrypted = wrapper.wrap(master_key(), BINDING)
        if not self.binds:
            assert unwrapped(wrapper, encrypted, binding) == MASTER_KEY
            return
        with pytest.raises(KeyUnwrapError):
            unwrapped(wrapper, encrypted, binding)

    @pytest.mark.parametrize("garbage", GARBAGE)
    def test_garbage_is_one_kind_of_error(self, wrapper: KeyWrapper, garbage: bytes) -> None:
        with pytest.raises(KeyUnwrapError):
            wrapper.unwrap(parse(garbage), BINDING)

    def test_without_its_keys_it_says_what_to_do(self, wrapper: KeyWrapper, unreachable: KeyWrapper) -> None:
        _, encrypted = wrapper.wrap(master_key(), BINDING)
        with pytest.raises(KeyUnwrapError) as caught:
            unwrapped(unreachable, encrypted)
        assert caught.value.hint

    def test_several_threads_may_use_it(self, wrapper: KeyWrapper) -> None:
        _, encrypted = wrapper.wrap(master_key(), BINDING)
        with ThreadPoolExecutor(4) as pool:
            results = list(pool.map(lambda _: unwrapped(wrapper, encrypted), range(8)))
        assert results == [MASTER_KEY] * 8

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
    def test_after_a_fork_both_processes_unwrap(self, wrapper: KeyWrapper) -> None:
        _, encrypted = wrapper.wrap(master_key(), BINDING)
        assert unwrapped(wrapper, encrypted) == MASTER_KEY

        def in_the_child() -> None:
            for _ in range(3):
                assert unwrapped(wrapper, encrypted) == MASTER_KEY

        in_a_fork(in_the_child)
        assert unwrapped(wrapper, encrypted) == MASTER_KEY

    def test_no_secret_is_shown_anywhere(
        self,
        wrapper: KeyWrapper,
        stranger: KeyWrapper,
        unreachable: KeyWrapper,
        canaries: list[bytes],
        request: pytest.FixtureRequest,
    ) -> None:
        caplog: pytest.LogCaptureFixture = request.getfixturevalue("caplog")
        capfd: pytest.CaptureFixture[str] = request.getfixturevalue("capfd")
        caplog.set_level(logging.DEBUG)
        _, encrypted = wrapper.wrap(master_key(), BINDING)
        shown = [repr(wrapper), str(wrapper), repr(vars(wrapper))]
        for one in (wrapper, stranger, unreachable):
            for element in (encrypted, *changed(encrypted)):
                try:
                    unwrapped(one, element, OTHER_BINDINGS["another ring"])
                except (KeyUnwrapError, MalformedDocumentError) as error:
                    shown += [str(error), getattr(error, "hint", ""), *traceback.format_exception(error)]
        captured = capfd.readouterr()
        everything = "\n".join([*shown, caplog.text, captured.out, captured.err]).encode()
        for secret in (MASTER_KEY, *canaries):
            for form in (secret, b64encode(secret), secret.hex().encode(), repr(secret)[2:-1].encode()):
                assert form not in everything

    def test_it_cannot_be_pickled(self, wrapper: KeyWrapper) -> None:
        with pytest.raises(TypeError):
            pickle.dumps(wrapper)

    # --- in a ring ----------------------------------------------------------------------------------------------------

    def test_a_refresh_unwraps_what_is_new_and_nothing_else(self, wrapper: KeyWrapper) -> None:
        """If nothing is new, no service is called and no private key is used."""
        watched = Watched(wrapper)
        store = ring_of(*(key_document(wrapper=wrapper) for _ in range(2)))
        ours = manager(store, wrappers=[watched])
        assert all(key.usable for key in ours.load_ring().keys)
        assert watched.calls == 2
        ours.load_ring()
        ours.load_ring()
        assert watched.calls == 2
        put(store, key_document(wrapper=wrapper), revocation_document(BINDING.key_id))
        ours.load_ring()
        assert watched.calls == 3

    def test_gone_while_keys_exist_a_running_process_goes_on_and_nobody_makes_a_key(
        self, wrapper: KeyWrapper, unreachable: KeyWrapper
    ) -> None:
        """A new process reports what to do. A key that is added meanwhile is unusable, and the old one protects."""
        watched = Watched(wrapper)
        first = key_document(wrapper=wrapper)
        store = ring_of(first)
        running = manager(store, wrappers=[watched])
        running.load_ring()
        watched.away = unreachable
        put(store, key_document(wrapper=wrapper, created=-2 * DAY))
        ring = running.load_ring()
        assert ring.protecting_key().id == id_of(first)
        assert sorted(key.usable for key in ring.keys) == [False, True]
        with pytest.raises(KeyUnwrapError) as caught:
            manager(store, wrappers=[unreachable]).load_ring()
        assert caught.value.hint
        assert len(store.inner.read().documents) == 2

    @pytest.mark.parametrize("null", [False, True], ids=["in clear", "null encryptor"])
    def test_a_key_in_clear_beside_it_is_refused_unless_said_until_it_is_wrapped(
        self, wrapper: KeyWrapper, null: bool
    ) -> None:
        """An attacker who can write to the store can add one. ``plain:`` reads it; after a rewrap, it is not needed."""
        clear = key_document(created=-2 * DAY)
        store = ring_of(key_document(wrapper=wrapper), under_the_null_encryptor(clear) if null else clear)
        strict = manager(store, wrappers=[wrapper])
        assert [id_of(aside.stored) for aside in strict.read().refused] == [id_of(clear)]
        assert id_of(clear) not in {key.id for key in strict.load_ring().keys}
        plain = KeyManager(store, StoppedClock(NOON), ring="shop", wrappers=[wrapper], allow_plain=True)
        assert {key.id: key.usable for key in plain.load_ring().keys}[id_of(clear)]
        assert rewrap(plain, wrapper).wrapped == (id_of(clear),)
        assert {key.id: key.usable for key in manager(store, wrappers=[wrapper]).load_ring().keys}[id_of(clear)]

    def test_a_store_of_nothing_but_keys_in_clear_is_no_empty_one(self, wrapper: KeyWrapper) -> None:
        store = ring_of(key_document())
        with pytest.raises(ConfigurationError):
            manager(store, wrappers=[wrapper]).load_ring()
        assert len(store.inner.read().documents) == 1


def _fails_or_differs(wrapper: KeyWrapper, encrypted: ET.Element, *, same: bool) -> None:
    """Without authentication, a change may go unnoticed here, but then it must have an effect."""
    try:
        found = unwrapped(wrapper, encrypted)
    except (KeyUnwrapError, MalformedDocumentError):
        return
    assert (found == MASTER_KEY) is same
