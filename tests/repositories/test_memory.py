"""Keys in memory: the contract, except that a forked child has its own copy."""

from __future__ import annotations

import pytest

from dpmiddleware.errors import ConfigurationError
from dpmiddleware.keys.interfaces import KeyRepository, StoredDocument
from dpmiddleware.repositories.memory import MemoryKeyRepository
from dpmiddleware.testing.contracts.repository import RepositoryContract
from dpmiddleware.testing.contracts.store import Store, commit, contents, document, stored
from dpmiddleware.testing.contracts.together import in_a_fork


class MemoryStore(Store):
    """One object; to the suite, other users of it are other processes."""

    def __init__(self) -> None:
        self.repository = MemoryKeyRepository()

    def open(self) -> KeyRepository:
        return self.repository

    def append(self, name: str, data: bytes) -> None:
        too_large = "larger than 64 KB" if len(data) > 65536 else ""
        commit(self.repository, StoredDocument(name, b"" if too_large else data, problem=too_large))

    def delete(self, data: bytes) -> None:
        removed = [stored(self.repository, data)]
        self.repository.commit(remove=removed, expected=self.repository.version())

    def replace(self, old: bytes, new: bytes) -> None:
        removed = stored(self.repository, old)
        added = [StoredDocument(removed.name, new)]
        self.repository.commit(add=added, remove=[removed], expected=self.repository.version())


class TestMemory(RepositoryContract):
    @pytest.fixture
    def store(self) -> Store:
        return MemoryStore()

    def test_after_a_fork_both_processes_go_on(self, store: Store, repository: KeyRepository) -> None:
        """Each has its own copy: memory is not shared."""
        mine, theirs = document(), document()
        in_a_fork(lambda: commit(repository, theirs))
        commit(repository, mine)
        assert contents(repository) == [mine.data]


def test_two_memories_are_two_stores_with_two_versions() -> None:
    first, second = MemoryKeyRepository(), MemoryKeyRepository.from_url("memory:")
    commit(first, document())
    assert contents(second) == []
    assert first.version() != second.version()


def test_a_memory_can_start_with_documents() -> None:
    given = document()
    assert contents(MemoryKeyRepository([given])) == [given.data]


def test_a_name_behind_the_scheme_is_refused() -> None:
    with pytest.raises(ConfigurationError):
        MemoryKeyRepository.from_url("memory:shared")
