"""Where secrets come from: ``env:NAME`` is an environment variable, any other text is the path of a file.

Docker, Kubernetes and systemd put secrets in one of the two. URLs and settings never contain the secret itself. If a
reference leads to nothing, no error repeats it: it may be the secret.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from dpmiddleware.errors import ConfigurationError
from dpmiddleware.printable import printable
from dpmiddleware.tracebacks import hides_locals

__all__ = [
    "MAX_FILE",
    "may_be_secret",
    "password_text",
    "read_file",
    "read_password",
    "read_secret",
    "shown",
    "shown_path",
    "shown_value",
]

MAX_FILE: Final = 1024 * 1024
"""Bytes of a key file, certificate or secret."""


_VARIABLE: Final = re.compile(r"[A-Z_][A-Z0-9_]*")
_LONGEST_WORD: Final = 24
"""Letters and digits in a row of a name; hexadecimal secrets are longer."""
_SECRET: Final = re.compile(rf"[A-Za-z0-9]{{{_LONGEST_WORD + 1}}}|[A-Za-z0-9+=_-]{{41}}|-----BEGIN")
_SHORT: Final = re.compile(r"[+-]?[0-9][0-9a-zA-Z. :]{0,15}|[A-Za-z ]{1,12}|[ -~]{0,4}")
_EXTENSION: Final = re.compile(r"\.[A-Za-z0-9]{2,5}")


def may_be_secret(text: str) -> bool:
    """Whether a text that should be a name or path looks like a key, a token or a PEM block."""
    return _SECRET.search(text) is not None


def shown_value(value: object) -> str:
    """A value that should be a number, a time or a word: its ``repr``, or ``…`` if none of them looks like that."""
    return repr(value) if _SHORT.fullmatch(str(value).strip()) or value is None else "…"


def shown(reference: str) -> str:
    """``reference``, unless it may be the secret itself: a name of a variable, or as much of a path as there is."""
    if reference.startswith("env:"):
        name = reference[4:]
        is_name = _VARIABLE.fullmatch(name) and max(map(len, name.split("_"))) <= _LONGEST_WORD
        return printable(reference) if is_name else "env:…"
    path = Path(reference.replace("\0", ""))
    while not os.path.lexists(path):
        if path == path.parent:
            break
        path = path.parent
    return printable(path) if str(path) == reference else f"{printable(path).rstrip('/')}/…"


def shown_path(path: Path | str) -> str:
    """The path of a file; if it may be the secret itself, only as much of it as there is."""
    text = str(path)
    is_path = not may_be_secret(text) and ("/" in text or _EXTENSION.search(text))
    return printable(text) if is_path else shown(text)


@hides_locals
def read_file(path: Path | str, what: str) -> bytes:
    """Read a small local file. `ConfigurationError` if it cannot be read; ``what`` names it there."""
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except (OSError, ValueError) as error:
        problem = error.strerror if isinstance(error, OSError) and error.strerror else "not a valid path"
        hint = "check the path and its permissions"
        raise ConfigurationError(f"{what}: {shown_path(path)}: {problem}", hint=hint) from None
    if len(data) > MAX_FILE:
        raise ConfigurationError(
            f"{what}: {printable(path)} is larger than {MAX_FILE // 1024} KB", hint="check the path"
        )
    return data


@hides_locals
def read_secret(reference: str, what: str) -> bytes:
    """Read what ``env:NAME`` or a path leads to. `ConfigurationError` if it is missing or empty."""
    if reference.startswith("env:"):
        name = reference[4:]
        raw = name.encode("utf-8", "surrogateescape").replace(b"\0", b"")
        value = os.environb.get(raw) if os.supports_bytes_environ else os.environ.get(name, "").encode()
        if not value:
            raise ConfigurationError(
                f"{what}: the variable {shown(reference)[4:]} is not set", hint="set the variable, or name a file"
            )
        return value
    if not Path(reference).is_absolute() and not os.path.lexists(reference.replace("\0", "")):
        raise ConfigurationError(
            f"{what}: the reference is neither env:NAME nor an existing file",
            hint="name the place of the secret, not the secret itself",
        )
    if not os.path.lexists(reference):
        raise ConfigurationError(
            f"{what}: {shown(reference)}: No such file or directory", hint="check the path and its permissions"
        )
    data = read_file(reference, what)
    if not data:
        raise ConfigurationError(f"{what}: {printable(reference)} is empty", hint="write the secret into the file")
    return data


@hides_locals
def read_password(reference: str, what: str = "password") -> bytes:
    """Read a secret without the line end that editors append."""
    return read_secret(reference, what).rstrip(b"\r\n")


@hides_locals
def password_text(reference: str) -> str:
    """Read a password for a client that takes text; bytes that are not UTF-8 become surrogates."""
    return read_password(reference).decode("utf-8", "surrogateescape")
