"""The contract of `KeyRepository` as one suite. The test class of a store inherits it and provides the store.

To test a store of your own::

    class TestMyStore(RepositoryContract):
        @pytest.fixture
        def store(self) -> Store:
            return MyStore()        # empty; see `Store`
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from dpmiddleware.errors import VersionConflict
from dpmiddleware.keys.interfaces import KeyRepository, StoredDocument
from dpmiddleware.keys.xml import MAX_SIZE, canonical, parse
from dpmiddleware.testing.contracts.store import Store, commit, contents, document, refusal, stored
from dpmiddleware.testing.contracts.together import at_once, in_a_fork

__all__ = ["RepositoryContract"]


class RepositoryContract:
    """What every repository promises."""

    @pytest.fixture
    def store(self) -> Store:
        """The place to test, empty."""
        raise NotImplementedError("a test class says which store it tests")

    @pytest.fixture
    def repository(self, store: Store) -> KeyRepository:
        """A repository on that place."""
        return store.open()

    # --- reading and writing ------------------------------------------------------------------------------------

    def test_a_store_that_nobody_wrote_to_is_an_empty_snapshot(self, repository: KeyRepository) -> None:
        snapshot = repository.read()
        assert snapshot.documents == ()
        assert snapshot.version == repository.version()

    def test_what_was_committed_is_read_back_byte_by_byte(self, store: Store, repository: KeyRepository) -> None:
        first, second = document("é ∀ 𝄞 &amp; &#10;"), document("<!-- kept --><b />")
        commit(repository, first, second)
        for reader in (repository, store.open()):
            assert contents(reader) == sorted([first.data, second.data])

    def test_names_are_read_back_where_the_store_keeps_them(self, store: Store, repository: KeyRepository) -> None:
        key, revocation = document(), document(name="revocation-20260102T030405678Z")
        commit(repository, key, revocation)
        expected = {key.name, revocation.name} if store.keeps_names else {None}
        assert {found.name for found in repository.read().documents} == expected

    def test_documents_are_taken_away(self, repository: KeyRepository) -> None:
        kept, gone = document(), document()
        commit(repository, kept, gone)
        snapshot = repository.read()
        removed = [found for found in snapshot.documents if found.data == gone.data]
        repository.commit(remove=removed, expected=snapshot.version)
        assert contents(repository) == [kept.data]

    def test_one_commit_adds_and_removes(self, repository: KeyRepository) -> None:
        olds, news = [document(), document()], [document(), document()]
        commit(repository, *olds)
        snapshot = repository.read()
        repository.commit(add=news, remove=snapshot.documents, expected=snapshot.version)
        assert contents(repository) == sorted(new.data for new in news)

    def test_a_commit_returns_the_version_after_it_or_nothing(self, repository: KeyRepository) -> None:
        version = repository.commit(add=[document()], expected=repository.version())
        assert version in {None, repository.version()}
        removed = repository.read().documents
        version = repository.commit(add=[document()], remove=removed, expected=repository.version())
        assert version in {None, repository.version()}

    def test_a_document_added_under_the_name_of_one_removed_replaces_it(self, repository: KeyRepository) -> None:
        old, other = document(), document()
        commit(repository, old, other)
        new = document("wrapped again", name=old.name)
        repository.commit(add=[new], remove=[stored(repository, old.data)], expected=repository.version())
        assert contents(repository) == sorted([new.data, other.data])

    def test_a_name_that_is_taken_is_refused(self, store: Store, repository: KeyRepository) -> None:
        if not store.keeps_names:
            return  # nothing can collide
        old, other = document(), document()
        commit(repository, old)
        version = repository.version()
        with refusal(repository):
            repository.commit(add=[other, document("another", name=old.name)], expected=version)
        assert contents(repository) == [old.data]
        assert repository.version() == version

    def test_a_commit_of_nothing_checks_the_version(self, repository: KeyRepository) -> None:
        repository.commit(expected=repository.version())
        with pytest.raises(VersionConflict):
            repository.commit(expected="no version of this store")

    def test_a_document_that_is_too_large_is_named_and_not_read(self, store: Store, repository: KeyRepository) -> None:
        good, large = document(), b"<a>" * 230_000
        commit(repository, good)
        store.append("key-large", large + b"</a>" * 230_000)
        snapshot = repository.read()
        assert [found.data for found in snapshot.documents if not found.problem] == [good.data]
        (problem,) = [found for found in snapshot.documents if found.problem]
        assert str(MAX_SIZE // 1024) in problem.problem
        assert problem.data == b""
        repository.commit(remove=[problem], expected=snapshot.version)
        assert contents(repository) == [good.data]

    def test_a_malformed_document_does_not_hide_the_others(self, store: Store, repository: KeyRepository) -> None:
        good = document()
        commit(repository, good)
        store.append("key-broken", b"<key><broken x='&#1;' /></key>")
        if store.one_text:
            with refusal(repository):
                repository.read()
            return
        assert good.data in contents(repository)
        assert len(repository.read().documents) == 2

    def test_a_text_that_only_declares_utf_16_is_read(self, store: Store, repository: KeyRepository) -> None:
        """.NET's XmlWriter puts this declaration into strings: a revocation in that form was missed."""
        revocation = b"<revocation version='1'><key id='*' /></revocation>"
        commit(repository, document())
        if not store.one_text:
            store.append("revocation-net", b'<?xml version="1.0" encoding="utf-16"?>\r\n' + revocation)
            read = [canonical(parse(found.data)) for found in repository.read().documents]
            assert canonical(parse(revocation)) in read

    def test_what_net_wrote_with_a_byte_order_mark_can_be_committed(self, repository: KeyRepository) -> None:
        net = StoredDocument(
            "key-net", b'\xef\xbb\xbf<?xml version="1.0" encoding="utf-8"?>\r\n<key>\r\n  <a>\xc3\xa9</a>\r\n</key>'
        )
        commit(repository, net)
        (found,) = repository.read().documents
        assert b"<a>\xc3\xa9</a>" in found.data

    # --- versions -----------------------------------------------------------------------------------------------

    def test_the_version_stays_while_nothing_happens(self, store: Store, repository: KeyRepository) -> None:
        commit(repository, document())
        versions = {repository.version(), repository.read().version, repository.version(), store.open().version()}
        assert len(versions) == 1

    def test_every_commit_gives_another_version(self, repository: KeyRepository) -> None:
        first, second = document(), document()
        versions = [repository.version()]
        commit(repository, first)
        versions.append(repository.version())
        commit(repository, second)
        versions.append(repository.version())
        replacement = document("e", name=first.name)  # one byte shorter
        repository.commit(add=[replacement], remove=[stored(repository, first.data)], expected=versions[-1])
        versions.append(repository.version())
        repository.commit(remove=[stored(repository, second.data)], expected=versions[-1])
        versions.append(repository.version())
        assert len(set(versions)) == 5

    @pytest.mark.parametrize(
        "change",
        [
            pytest.param(lambda store, first, last: store.append("key-new", b"<new />"), id="append"),
            pytest.param(lambda store, first, last: store.delete(first), id="delete the first"),
            pytest.param(lambda store, first, last: store.delete(last), id="delete the last"),
            pytest.param(lambda store, first, last: store.replace(first, first.swapcase()), id="replace the first"),
            pytest.param(lambda store, first, last: store.replace(last, last.swapcase()), id="replace the last"),
            pytest.param(
                lambda store, first, last: (store.delete(first), store.append("key-new", first.swapcase())),
                id="delete the first and append",
            ),
            pytest.param(
                lambda store, first, last: (store.delete(last), store.append("key-new", last.swapcase())),
                id="delete the last and append",
            ),
            pytest.param(
                lambda store, first, last: (store.append("key-a", b"<a />"), store.delete(first)),
                id="append and delete the first",
            ),
        ],
    )
    def test_every_change_by_others_gives_another_version_and_a_conflict(
        self, store: Store, repository: KeyRepository, change: Callable[[Store, bytes, bytes], object]
    ) -> None:
        documents = [document("aaaa"), document("bbbb"), document("cccc")]
        for added in documents:
            commit(repository, added)
        before = repository.read()
        change(store, documents[0].data, documents[-1].data)
        assert repository.version() != before.version
        assert repository.read().version == repository.version()
        with pytest.raises(VersionConflict):
            repository.commit(add=[document()], expected=before.version)

    # --- compare and swap ---------------------------------------------------------------------------------------

    def test_nothing_is_written_over_a_version_that_moved(self, store: Store, repository: KeyRepository) -> None:
        stale = repository.version()
        theirs = document()
        commit(store.open(), theirs)
        with pytest.raises(VersionConflict):
            repository.commit(add=[document()], expected=stale)
        assert contents(repository) == [theirs.data]

    def test_of_many_writers_at_one_version_one_wins(self, store: Store, repository: KeyRepository) -> None:
        writers = [store.open() for _ in range(4)]
        for writer in writers:
            writer.version()  # connected, so that they run at the same time
        for _ in range(3):
            before = repository.read()

            def write(number: int, version: str = before.version) -> None:
                writers[number // 2].commit(add=[document()], expected=version)

            outcomes = at_once(8, write)
            lost = [outcome for outcome in outcomes if outcome is not None]
            assert len(lost) == 7, lost
            assert all(isinstance(outcome, VersionConflict) for outcome in lost), lost
            assert len(contents(repository)) == len(before.documents) + 1

    def test_several_threads_share_one_repository(self, repository: KeyRepository) -> None:
        added = [document() for _ in range(4)]

        def add_one(number: int) -> None:
            for _ in range(100):
                try:
                    commit(repository, added[number])
                except VersionConflict:
                    continue
                return
            pytest.fail("never got through")

        assert at_once(len(added), add_one) == [None] * len(added)
        assert contents(repository) == sorted(each.data for each in added)

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
    def test_after_a_fork_both_processes_go_on(self, store: Store, repository: KeyRepository) -> None:
        before, by_child, by_parent = document(), document(), document()
        commit(repository, before)

        def in_the_child() -> None:
            commit(repository, by_child)
            assert contents(repository) == sorted([before.data, by_child.data])

        in_a_fork(in_the_child)
        commit(repository, by_parent)
        assert contents(repository) == sorted([before.data, by_child.data, by_parent.data])
