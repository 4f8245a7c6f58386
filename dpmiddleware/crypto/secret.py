"""`Secret`: key bytes that cannot be printed, pickled or copied by accident."""

from __future__ import annotations

import hmac
import os
from typing import Final, NoReturn

__all__ = ["MASTER_KEY_SIZE", "Secret", "Unpicklable"]

MASTER_KEY_SIZE: Final = 64
"""Bytes of a new master key (512 bits), as in ASP.NET Core. Keys of any other length are read."""


class Unpicklable:
    """Base of objects that hold a secret: pickling or copying them raises ``TypeError``."""

    __slots__ = ()

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} cannot be pickled or copied")


class Secret(Unpicklable):
    """Key bytes.

    ``repr`` and ``str`` show only the length, comparison takes constant time, and pickling raises ``TypeError``. The
    only way to the bytes is `reveal`, a name that is easy to search for.
    """

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        if not value:
            raise ValueError("a secret cannot be empty")
        self._value = bytes(value)

    @classmethod
    def random(cls, size: int = MASTER_KEY_SIZE) -> Secret:
        """Create a secret of ``size`` random bytes from the operating system."""
        return cls(os.urandom(size))

    def reveal(self) -> bytes:
        """The bytes, for a cipher or a wrapper. Never put them into a message."""
        return self._value

    def __len__(self) -> int:
        return len(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value, other._value)

    __hash__ = None  # type: ignore[assignment]  # a hash would reveal whether two secrets are equal

    def __repr__(self) -> str:
        return f"<Secret of {len(self._value)} bytes>"
