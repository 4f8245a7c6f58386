"""What the names in the templates stand for: the answers, and where key material is on each platform.

A name without a value is ``None``; the lines of a template that use it are left out. ``if_signed`` and ``if_secrets``
are empty, and only say whether a line is there. A setting is escaped as the kind of file needs it (`ESCAPES`); the
other names have only characters that need no escaping.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import quote, urlsplit

from dpmiddleware.cli.init.answers import MADE_HERE, Answers

__all__ = ["ESCAPES", "file_of_wrapper", "values_of"]

_MARK: Final = "PLACE-OF-KEY-MATERIAL"


def _in_unit(text: str) -> str:
    """Between double quotes in a unit of systemd, where ``%`` begins a specifier."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")


def _in_compose(text: str) -> str:
    """In a Compose file, where ``$`` begins a variable."""
    return json.dumps(text, ensure_ascii=False).replace("$", "$$")


def _in_yaml(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


ESCAPES: Final[Mapping[str, Callable[[str], str]]] = {
    "env": shlex.quote,
    "systemd": _in_unit,
    "compose": _in_compose,
    "kubernetes": _in_yaml,
}
"""By the kind of file."""
_PLACES: Final = {"systemd": "%d", "compose": "/run/secrets", "kubernetes": "/run/keys"}
"""Where a service finds its key material. ``%d`` is the folder of a unit's credentials."""
_PORTS: Final = {"redis": 6379, "rediss": 6379, "postgresql": 5432, "mysql": 3306, "mariadb": 3306, "mssql": 1433}
_HTTPS: Final = 443


def file_of_wrapper(answers: Answers) -> str | None:
    """The name of the file that wraps keys, if one is created."""
    return MADE_HERE.get(answers.wrapper)


def values_of(answers: Answers, kind: str) -> dict[str, str | None]:
    """All names of the templates of one kind of file."""
    secrets = answers.folder / "secrets"
    escape, place = ESCAPES[kind], _PLACES.get(kind, quote(str(secrets)))
    file = file_of_wrapper(answers)
    where = str(secrets) if kind == "env" else place

    def ours(text: str, folder: str) -> str:
        """Escaped, with the place of our files. No other setting is ours: it may contain the mark."""
        return escape(text).replace(_MARK, folder)

    written: dict[str, str | None] = {
        "application": escape(answers.application),
        "repository": escape(answers.repository),
        "key_wrapper": ours(f"{answers.wrapper}//{_MARK}/{file}", place) if file else escape(answers.wrapper),
        "signer": ours(f"ed25519://{_MARK}/signer.pem", place) if answers.signed else None,
        "trusted_signers": ours(f"{_MARK}/signer.pub", where) if answers.signed else None,
    }
    return written | _plain(answers, file) | _paths(answers, _in_unit if kind == "systemd" else str)


def _plain(answers: Answers, file: str | None) -> dict[str, str | None]:
    """The names that stand for text without special characters."""
    return {
        "name": answers.name,
        "app": answers.serves,
        "image": answers.image or f"{answers.name}:latest",
        "user": f"{os.getuid()}:{os.getgid()}" if hasattr(os, "getuid") else "10001:10001",
        "material": file,
        "if_signed": "" if answers.signed else None,
        "if_secrets": "" if answers.signed or file else None,
        "ports": ", ".join(f"{{port: {port}, protocol: TCP}}" for port in _ports(answers)),
    }


def _paths(answers: Answers, escape: Callable[[str], str]) -> dict[str, str | None]:
    """Paths of this machine."""
    store = answers.repository if answers.repository.startswith("/") else None
    return {
        "folder": escape(str(answers.folder)),
        "python": escape(sys.executable),
        "store_folder": None if store is None else escape(store),
    }


def _ports(answers: Answers) -> list[int]:
    """The ports of the store and of a key service."""
    store = urlsplit(answers.repository)
    found = {store.port or _PORTS.get(store.scheme.partition("+")[0], _HTTPS)}
    if file_of_wrapper(answers) is None:
        found.add(urlsplit(answers.wrapper).port or _HTTPS)
    return sorted(found)
