"""The verbs and groups of ``dpm`` itself: which file each is in, and its line in the help text of ``dpm``.

With this, a command imports the file of its own verb, and the help text of ``dpm`` imports none.
"""

from __future__ import annotations

from importlib import import_module
from typing import Final

from dpmiddleware.cli.parsers import Verbs

__all__ = ["ABOUT", "add_verb"]

ABOUT: Final = {
    "init": "write the configuration of an application, its key material and the first key of its ring",
    "keys": "manage the keys of a ring",
    "inspect": "show which key protects a payload, and whether this ring can read it",
    "check": "check whether the ring is fit for production",
    "key-blob": "create and verify session keys that are exported to an exchange key",
    "demo": "run a demonstration",
}
"""In the order of the help text."""
_FILES: Final = {"inspect": "inspection", "key-blob": "key_blob"}
"""Those that are not named after their verb."""


def add_verb(name: str, verbs: Verbs) -> None:
    """Import the file of a verb or group of ``dpm``, and let it add its parsers to ``verbs``."""
    import_module(f"dpmiddleware.cli.{_FILES.get(name, name)}").add_to(verbs)
