"""The ring under the frameworks' tests: a new one for each test, on the clock that the test may have moved."""

from __future__ import annotations

from dpmiddleware.data_protection import DataProtection

__all__ = ["new_ring"]


def new_ring() -> DataProtection:
    """Create an empty ring in memory."""
    return DataProtection("upstream", repository="memory:", key_wrapper="plain:")
