"""The contract of `KeyWrapper` as one suite. The test class of a wrapper inherits it and provides three wrappers.

To test a wrapper of your own::

    class TestMyWrapper(KeyWrapperContract):
        binds = False                   # if a wrapping can be moved to another ring, key or date

        @pytest.fixture
        def wrapper(self) -> KeyWrapper:
            return MyWrapper("https://service.example/keys/1")

        # …, and the fixtures `stranger` and `unreachable`
"""

from __future__ import annotations

import logging
import os
import pickle
import traceback
import xml.etree.ElementTree as ET
from abc import ABC, abstractmethod
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from dpmiddleware.dotnet_types import plain_type_name
from dpmiddleware.errors import ConfigurationError, KeyUnwrapError, MalformedDocumentError
from dpmiddleware.keys.interfaces import Binding, KeyRepository, KeyWrapper
from dpmiddleware.keys.maintenance import rewrap
from dpmiddleware.keys.manager import KeyManager
from dpmiddleware.keys.xml import dump, parse
from dpmiddleware.repositories.memory import MemoryKeyRepository
from dpmiddleware.testing.clock import StoppedClock
from dpmiddleware.testing.contracts.documents import DAY, NOON, id_of, key_document, revocation_document
from dpmiddleware.testing.contracts.store import commit
from dpmiddleware.testing.contracts.together import in_a_fork
from dpmiddleware.testing.contracts.wrappings import (
    BINDING,
    GARBAGE,
    MASTER_KEY,
    OTHER_BINDINGS,
    changed,
    master_key,
    under_the_null_encryptor,
    unwrapped,
)
from dpmiddleware.testing.frames import shown_in

__all__ = ["KeyWrapperContract"]


class _Watched:
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


class KeyWrapperContract(ABC):
    """Inherit this and define the fixtures to test the contract."""

    authenticates = True
    """Whether a changed wrapping is always an error. If not, it must give another key or an error."""
    binds = True
    """Whether a wrapping opens only under the `Binding` that it was made for."""

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

    def test_nothing_of_the_key_can_be_read(self, wrapper: KeyWrapper) -> None:
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
        watched = _Watched(wrapper)
        store = MemoryKeyRepository([key_document(wrapper=wrapper) for _ in range(2)])
        ours = _manager(store, watched)
        assert all(key.usable for key in ours.load_ring().keys)
        assert watched.calls == 2
        ours.load_ring()
        ours.load_ring()
        assert watched.calls == 2
        commit(store, key_document(wrapper=wrapper), revocation_document(BINDING.key_id))
        ours.load_ring()
        assert watched.calls == 3

    def test_gone_while_keys_exist_a_running_process_goes_on_and_nobody_makes_a_key(
        self, wrapper: KeyWrapper, unreachable: KeyWrapper
    ) -> None:
        """A new process reports what to do. A key that is added meanwhile is unusable, and the old one protects."""
        watched = _Watched(wrapper)
        first = key_document(wrapper=wrapper)
        store = MemoryKeyRepository([first])
        running = _manager(store, watched)
        running.load_ring()
        watched.away = unreachable
        commit(store, key_document(wrapper=wrapper, created=-2 * DAY))
        ring = running.load_ring()
        assert ring.protecting_key().id == id_of(first)
        assert sorted(key.usable for key in ring.keys) == [False, True]
        with pytest.raises(KeyUnwrapError) as caught:
            _manager(store, unreachable).load_ring()
        assert caught.value.hint
        assert len(store.read().documents) == 2

    @pytest.mark.parametrize("null", [False, True], ids=["unencrypted", "null encryptor"])
    def test_an_unencrypted_key_beside_it_is_refused_unless_allowed_until_it_is_wrapped(
        self, wrapper: KeyWrapper, null: bool
    ) -> None:
        """An attacker who can write to the store can add one. ``plain:`` reads it; after a rewrap, it is not needed."""
        clear = key_document(created=-2 * DAY)
        store = MemoryKeyRepository([key_document(wrapper=wrapper), under_the_null_encryptor(clear) if null else clear])
        strict = _manager(store, wrapper)
        assert [id_of(aside.stored) for aside in strict.read().refused] == [id_of(clear)]
        assert id_of(clear) not in {key.id for key in strict.load_ring().keys}
        plain = _manager(store, wrapper, allow_plain=True)
        assert {key.id: key.usable for key in plain.load_ring().keys}[id_of(clear)]
        assert rewrap(plain, wrapper).wrapped == (id_of(clear),)
        assert {key.id: key.usable for key in _manager(store, wrapper).load_ring().keys}[id_of(clear)]

    def test_a_store_of_nothing_but_unencrypted_keys_does_not_count_as_empty(self, wrapper: KeyWrapper) -> None:
        store = MemoryKeyRepository([key_document()])
        with pytest.raises(ConfigurationError):
            _manager(store, wrapper).load_ring()
        assert len(store.read().documents) == 1


def _manager(store: KeyRepository, wrapper: KeyWrapper, *, allow_plain: bool = False) -> KeyManager:
    return KeyManager(store, StoppedClock(NOON), ring="shop", wrappers=[wrapper], allow_plain=allow_plain)


def _fails_or_differs(wrapper: KeyWrapper, encrypted: ET.Element, *, same: bool) -> None:
    """Without authentication, a change may go unnoticed here, but then it must have an effect."""
    try:
        found = unwrapped(wrapper, encrypted)
    except (KeyUnwrapError, MalformedDocumentError):
        return
    assert (found == MASTER_KEY) is same
