"""ASP.NET Core Data Protection for Python: protected cookies, sessions and sign-ins under a key ring that rotates.

Start with `DataProtection`. The packages `dpmiddleware.flask`, `dpmiddleware.django` and `dpmiddleware.starlette` serve
the frameworks of those names, `dpmiddleware.wsgi` and `dpmiddleware.asgi` all others; `dpmiddleware.errors` has every
error. Importing this package imports no library, and does no I/O; what it names is imported at its first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from dpmiddleware.errors import (
    ConfigurationError,
    DataProtectionError,
    ExpiredPayloadError,
    KeyManagementError,
    UnprotectError,
)

if TYPE_CHECKING:
    from dpmiddleware.crypto.encryptors import Algorithm
    from dpmiddleware.data_protection import DataProtection
    from dpmiddleware.keys.policy import RotationPolicy
    from dpmiddleware.protection.protector import DataProtector
    from dpmiddleware.protection.serializer import ProtectedSerializer

__all__ = [
    "Algorithm",
    "ConfigurationError",
    "DataProtection",
    "DataProtectionError",
    "DataProtector",
    "ExpiredPayloadError",
    "KeyManagementError",
    "ProtectedSerializer",
    "RotationPolicy",
    "UnprotectError",
    "__version__",
]

__version__ = "0.1.0"

_HOMES: Final = {
    "Algorithm": "crypto.encryptors",
    "DataProtection": "data_protection",
    "DataProtector": "protection.protector",
    "ProtectedSerializer": "protection.serializer",
    "RotationPolicy": "keys.policy",
}
"""The modules of what is imported at its first use: so the plugin for pytest costs nothing where it is not used."""


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        globals()[name] = found = getattr(import_module(f"dpmiddleware.{_HOMES[name]}"), name)
        return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
