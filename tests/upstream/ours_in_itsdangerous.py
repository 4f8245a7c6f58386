"""A pytest plugin: itsdangerous' tests find `ProtectedSerializer` under the names of its own serializers."""

from __future__ import annotations

from typing import Any

import itsdangerous.serializer
import itsdangerous.timed
from rings import new_ring  # type: ignore[import-not-found]  # beside this file, where it runs

from dpmiddleware.data_protection import DataProtection
from dpmiddleware.protection.serializer import ProtectedSerializer

_ring: list[DataProtection] = []


def pytest_runtest_setup() -> None:
    """Create a ring for each test: some tests change the clock."""
    _ring[:] = [new_ring()]


class OurSerializer(ProtectedSerializer):
    """Accepts itsdangerous' arguments; those about secrets and signers are ignored."""

    def __init__(  # noqa: PLR0917 (the signature is itsdangerous')
        self,
        secret_key: object,
        salt: str | bytes = "itsdangerous",
        serializer: Any = None,
        serializer_kwargs: object = None,
        signer: object = None,
        signer_kwargs: object = None,
        fallback_signers: object = None,
    ) -> None:
        super().__init__(_ring[0], salt, serializer)


for _module, _name in ((itsdangerous.serializer, "Serializer"), (itsdangerous.timed, "TimedSerializer")):
    setattr(_module, _name, OurSerializer)
