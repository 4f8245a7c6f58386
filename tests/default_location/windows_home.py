"""Run by a Python for Windows: as in IIS without a profile, where keys are stored here, and what is there.

Question: {"prepare": true}: the account's folder cannot have an ``ASP.NET``, and HKLM has the key that IIS creates.
Question: {"payload", "application", "purpose"}: {"kind", "repository", "wrapper", "plaintext"}.
"""

from __future__ import annotations

import json
import sys
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

from dpmiddleware import DataProtection
from dpmiddleware.default_location import find_key_home
from dpmiddleware.windows_account import IIS_KEYS, WindowsAccount


def main() -> None:
    question = json.load(sys.stdin)
    print(json.dumps(prepare() if question.get("prepare") else look(question)))


def prepare() -> dict[str, str]:
    """Create a file where the folder would be."""
    registry: Any = __import__("winreg")
    account = WindowsAccount()
    Path(account.local_app_data(), "ASP.NET").write_text("in the way")
    registry.CreateKey(registry.HKEY_LOCAL_MACHINE, f"{IIS_KEYS}\\{account.sid()}").Close()
    return {"sid": account.sid(), "folder": account.local_app_data()}


def look(question: dict[str, str]) -> dict[str, str | None]:
    """Return what is chosen; also, opened there, what .NET has protected."""
    home = find_key_home()
    answer = {"kind": home.kind.value, "repository": home.repository, "wrapper": home.key_wrapper}
    if not question["payload"]:
        return answer
    ring = DataProtection(
        question["application"], repository=home.repository, key_wrapper=home.key_wrapper, auto_create_keys=False
    )
    plaintext = ring.create_protector(question["purpose"]).unprotect(b64decode(question["payload"]))
    return {**answer, "plaintext": b64encode(plaintext).decode()}


if __name__ == "__main__":
    main()
