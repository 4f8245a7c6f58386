"""The compiled core: the slowest steps of a request, written in C. It is optional.

    crypto/_cbc_hmac.c        AES-CBC and HMAC of a payload         crypto/encryptors.py
    protection/_base64url.c   payloads as text                      protection/base64url.py
    web/sign_in/_ticket.c     ordinary tickets as bytes             web/sign_in/ticket.py

It is built with the package if a C compiler and OpenSSL's headers are available (hatch_build.py). Without it, the
modules on the right do the same in Python: the same bytes, objects and errors. ``DPM_PURE_PYTHON=1`` disables it, at
build time and at run time.
"""

from __future__ import annotations

import functools
import importlib
import os
from types import ModuleType

__all__ = ["describe", "is_switched_off", "load"]

_CIPHERS = "crypto._cbc_hmac"


def load(name: str) -> ModuleType | None:
    """Import a module of the core, such as ``crypto._cbc_hmac``; ``None`` if the work is to be done in Python."""
    found = None if is_switched_off() else _import(name)
    return found if isinstance(found, ModuleType) else None


def is_switched_off() -> bool:
    """Whether ``DPM_PURE_PYTHON`` disables the core."""
    return os.environ.get("DPM_PURE_PYTHON", "0") not in {"", "0"}


def describe() -> str:
    """Say whether the core is in use, and if not, why."""
    if is_switched_off():
        return "pure Python: DPM_PURE_PYTHON is set"
    core = _import(_CIPHERS)
    if isinstance(core, ModuleType):
        return f"compiled core, {core.LIBRARY}"
    return f"pure Python: the compiled core was not built here ({core})"


@functools.cache
def _import(name: str) -> ModuleType | str:
    """The module, or why it is missing: it was not built, or was built for an OpenSSL that is not installed."""
    try:
        return importlib.import_module(f"dpmiddleware.{name}")
    except ImportError as error:
        return str(error)
