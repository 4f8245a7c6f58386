"""ASP.NET Core Data Protection for Python: the names that a newcomer types; everything else has its own module.

Middleware: `dpmiddleware.wsgi`, `dpmiddleware.asgi`, and a module for each framework. Importing this imports no
framework and no extra, and does no I/O.
"""

from __future__ import annotations

from dpmiddleware.crypto.encryptors import Algorithm
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import (
    ConfigurationError,
    DataProtectionError,
    ExpiredPayloadError,
    KeyManagementError,
    UnprotectError,
)
from dpmiddleware.keys.rotation import RotationPolicy
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
