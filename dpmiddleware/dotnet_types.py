"""Names of .NET types in key documents: ``type, assembly, Version=…, Culture=neutral, PublicKeyToken=…``."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

__all__ = ["BUILD", "DATA_PROTECTION", "plain_type_name", "type_in"]

DATA_PROTECTION: Final = "Microsoft.AspNetCore.DataProtection"
BUILD: Final = ", Version=10.0.0.0, Culture=neutral, PublicKeyToken=adb9793829ddae60"
"""The rest of the name of a data protection type, as .NET 10 writes it."""


def type_in(assembly: str, name: str) -> str:
    """``type, assembly`` for a type whose namespace begins with the name of its assembly, as all of these do."""
    return f"{assembly}.{name}, {assembly}"


@lru_cache(maxsize=16)
def plain_type_name(name: str) -> str:
    """A .NET type name in the form in which names are compared: ``type, assembly``, nothing else.

    Names from before ASP.NET Core 1.0 (``Microsoft.AspNet.…``) become today's names. If the name of an ASP.NET Core
    type has no assembly, the data protection assembly is added.
    """
    parts = name.strip().replace("Microsoft.AspNet.DataProtection", DATA_PROTECTION).split(",", 2)
    if len(parts) == 1 and parts[0].startswith("Microsoft.AspNet"):
        parts.append(DATA_PROTECTION)
    return ", ".join([part.strip() for part in parts[:2]])
