"""The contracts of the interfaces as suites for pytest. The test class of an adapter inherits a suite. ::

    store.py              `Store`: the place that a repository is tested on; key documents, and short functions for them
    repository.py         `RepositoryContract`: what every `KeyRepository` promises
    remote_repository.py  `RemoteRepositoryContract`: what it promises in addition if the store is another machine
    key_wrapper.py        `KeyWrapperContract`: what every `KeyWrapper` promises; wrappings.py: what it wraps
    ticket_store.py       `TicketStoreContract`: what every `TicketStore` promises
    documents.py          keys and revocations as a ring stores them
    together.py           threads that start at once, and a forked process

The adapters of this package are tested with the same suites. This package needs pytest.
"""

from __future__ import annotations

from dpmiddleware.testing.contracts.key_wrapper import KeyWrapperContract
from dpmiddleware.testing.contracts.remote_repository import RemoteRepositoryContract
from dpmiddleware.testing.contracts.repository import RepositoryContract
from dpmiddleware.testing.contracts.store import PASSWORD, Store
from dpmiddleware.testing.contracts.ticket_store import TicketStoreContract

__all__ = [
    "PASSWORD",
    "KeyWrapperContract",
    "RemoteRepositoryContract",
    "RepositoryContract",
    "Store",
    "TicketStoreContract",
]
