"""Key bytes that do not print, pickle, copy or compare loosely."""

from __future__ import annotations

import hmac
import os
from typing import Final, NoReturn

__all__ = ["MASTER_KEY_SIZE", "Secret"]

MASTER_KEY_SIZE: Final = 64
"""Bytes of a new master key (512 bits), as ASP.NET Core makes them; any other length ≥ 1 is read."""


class Secret:
    """Some key bytes.

    ``repr`` and ``str`` show a length, equality takes constant time, pickling raises ``TypeError``. There is one way
    to the bytes, with a name that is easy to search for: `reveal`.
    """

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        if not value:
            raise ValueError("an empty secret")
        self._value = bytes(value)

    @classmethod
    def random(cls, size: int = MASTER_KEY_SIZE) -> Secret:
        """``size`` bytes from the operating system."""
        return cls(os.urandom(size))

    def reveal(self) -> bytes:
        """The bytes themselves, for a cipher or a wrapper; never for a message."""
        return self._value

    def __len__(self) -> int:
        return len(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value, other._value)

    __hash__ = None  # type: ignore[assignment]  # a hash would be a fingerprint of the bytes

    def __repr__(self) -> str:
        return f"<Secret of {len(self._value)} bytes>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not for pickling or copying")
