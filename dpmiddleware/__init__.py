"""ASP.NET Core Data Protection for Python: protected cookies, sessions and sign-ins under a key ring that rotates.

Start with `DataProtection`. The packages `dpmiddleware.flask`, `dpmiddleware.django` and `dpmiddleware.starlette` serve
the frameworks of those names, `dpmiddleware.wsgi` and `dpmiddleware.asgi` all others; `dpmiddleware.errors` has every
error. Importing this package imports no framework and no extra, and does no I/O.
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
