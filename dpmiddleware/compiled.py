"""The compiled core, where there is one: what each request needs and Python is slowest at, in C.

    crypto/_cbc_hmac.c        one payload of AES-CBC with HMAC      beside crypto/encryptors.py
    protection/_base64url.c   a payload as text                     beside protection/base64url.py
    web/sign_in/_ticket.c     an ordinary ticket and its bytes      beside web/sign_in/ticket.py

It is built with the package where a C compiler and OpenSSL's headers are at hand (hatch_build.py), and where they are
not, Python does the same: the same bytes, objects and errors. ``DPM_PURE_PYTHON=1`` leaves it out, when building and
when running.
"""

from __future__ import annotations

import functools
import importlib
import os
from types import ModuleType

__all__ = ["describe", "is_switched_off", "load"]

_CIPHERS = "crypto._cbc_hmac"


def load(name: str) -> ModuleType | None:
    """An extension of this package, ``crypto._cbc_hmac`` for one; ``None`` where Python is to do it."""
    found = None if is_switched_off() else _import(name)
    return found if isinstance(found, ModuleType) else None


def is_switched_off() -> bool:
    """Whether the environment asks for pure Python."""
    return os.environ.get("DPM_PURE_PYTHON", "0") not in {"", "0"}


def describe() -> str:
    """In words: whether the core is in use, and if not, why."""
    if is_switched_off():
        return "pure Python, as DPM_PURE_PYTHON asks"
    core = _import(_CIPHERS)
    if isinstance(core, ModuleType):
        return f"compiled core, {core.LIBRARY}"
    return f"pure Python: the compiled core was not built here ({core})"


@functools.cache
def _import(name: str) -> ModuleType | str:
    """The extension, or why it cannot be had: not built, or built for an OpenSSL that is not here."""
    try:
        return importlib.import_module(f"dpmiddleware.{name}")
    except ImportError as error:
        return str(error)
