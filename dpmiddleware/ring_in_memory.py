"""`RingInMemory`: a `DataProtection` for tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self, Unpack

from dpmiddleware.arguments import checked
from dpmiddleware.clock import Clock
from dpmiddleware.crypto.encryptors import Algorithm
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.keys.policy import PolicySettings, RotationPolicy
from dpmiddleware.keys.provider import KeyRingProvider
from dpmiddleware.repositories.memory import MemoryKeyRepository

__all__ = ["RingInMemory"]


@checked
class RingInMemory(DataProtection):
    """A key ring for tests: its keys are in the memory of this object, and no thread runs beside the test.

    It takes the arguments of `DataProtection`, and has its class methods: ``RingInMemory.from_env()`` is a ring in
    memory for the application that the environment describes. What says where keys are stored, what protects them
    there, and who may create them is ignored: no secret of production is read.
    """

    _warns_of_memory = False

    def __init__(
        self,
        application: str | None = "tests",
        *,
        repository: object = None,
        key_wrapper: object = None,
        signer: object = None,
        trusted_signers: object = None,
        auto_create_keys: object = None,
        ring: str | None = None,
        policy: RotationPolicy | None = None,
        algorithm: Algorithm = Algorithm.AES_256_CBC_HMACSHA256,
        clock: Clock | None = None,
        **time_spans: Unpack[PolicySettings],
    ) -> None:
        super().__init__(
            application,
            repository=MemoryKeyRepository(),
            ring=ring,
            policy=policy,
            algorithm=algorithm,
            clock=clock,
            **time_spans,
        )
        self.provider = KeyRingProvider(self._open_manager, clock=self.clock, policy=self.policy, start=_at_once)

    @classmethod
    def like(cls, other: DataProtection) -> Self:
        """A ring in memory for the same application, under the same policy and clock."""
        return cls(other.application, ring=other.ring, policy=other.policy, clock=other.clock)


def _at_once(refresh: Callable[[], None]) -> None:
    """Run a refresh in the thread that needs it: after a test has moved the clock, the next look sees the change."""
    refresh()
