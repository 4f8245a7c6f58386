"""The compiled core, where there is one: AES-CBC with HMAC, one call a payload, in a third of the time.

`_cbc_hmac.c` is built with the package where a C compiler and OpenSSL's headers are at hand (hatch_build.py), and does
without where they are not: both ways give the same bytes and the same errors. ``DPM_PURE_PYTHON=1`` leaves it out, when
building and when running.

Before: `dpmiddleware.crypto.derivation`. After: `dpmiddleware.crypto.encryptors`.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable
from types import ModuleType
from typing import Final, NoReturn

__all__ = ["bind", "describe"]

_HASH_BLOCK: Final = 128
"""Of SHA-512: an HMAC key that is longer counts as its digest (RFC 2104)."""

Operation = Callable[[bytes], bytes]


def bind(
    algorithms: tuple[str, str], master_key: bytes, fixed: bytes, head: bytes, refuse: Callable[[], NoReturn]
) -> tuple[Operation, Operation] | None:
    """Encrypt and decrypt for one key and label; ``None``: there is no core, or it does not know the algorithms.

    ``algorithms``: cipher and digest as OpenSSL calls them. ``fixed``: label ‖ 00 ‖ context header. ``refuse`` raises.
    """
    core = None if is_switched_off() else _core()
    if not isinstance(core, ModuleType):
        return None
    short_key = master_key if len(master_key) <= _HASH_BLOCK else hashlib.sha512(master_key).digest()
    try:
        bound = core.CbcHmac(*algorithms, short_key, fixed, head, os.urandom, refuse)
    except (ValueError, RuntimeError):
        return None
    return bound.encrypt, bound.decrypt


def is_switched_off() -> bool:
    """Whether the environment asks for Python's own way."""
    return os.environ.get("DPM_PURE_PYTHON", "0") not in {"", "0"}


def describe() -> str:
    """In words: whether the core is in use, and if not, why."""
    core = _core()
    if is_switched_off():
        return "pure Python, as DPM_PURE_PYTHON asks"
    if isinstance(core, ModuleType):
        return f"compiled core, {core.LIBRARY}"
    return f"pure Python: the compiled core was not built here ({core})"


@functools.cache
def _core() -> ModuleType | str:
    """The extension, or why it cannot be had: not built, or built for an OpenSSL that is not here."""
    try:
        from dpmiddleware.crypto import _cbc_hmac
    except ImportError as error:
        return str(error)
    return _cbc_hmac
