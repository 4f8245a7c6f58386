"""Where secrets come from: ``env:NAME`` is an environment variable, any other text is the path of a file.

Docker, Kubernetes and systemd put secrets in one of the two. URLs and settings never contain the secret itself. If a
reference is neither, no error repeats it: it may be the secret.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from dpmiddleware.errors import ConfigurationError
from dpmiddleware.printable import printable
from dpmiddleware.tracebacks import hides_locals

__all__ = ["MAX_FILE", "password_text", "read_file", "read_password", "read_secret"]

MAX_FILE: Final = 1024 * 1024
"""Bytes of a key file, certificate or secret."""


@hides_locals
def read_file(path: Path | str, what: str) -> bytes:
    """Read a small local file. `ConfigurationError` if it cannot be read; ``what`` names it there."""
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except (OSError, ValueError) as error:
        problem = error.strerror if isinstance(error, OSError) and error.strerror else "not a valid path"
        raise ConfigurationError(
            f"{what}: {printable(path)}: {problem}", hint="check the path and its permissions"
        ) from None
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
        value = os.environb.get(name.encode()) if os.supports_bytes_environ else os.environ.get(name, "").encode()
        if not value:
            raise ConfigurationError(
                f"{what}: the variable {printable(name)} is not set", hint="set the variable, or name a file"
            )
        return value
    if not Path(reference).is_absolute() and not os.path.lexists(reference.replace("\0", "")):
        raise ConfigurationError(
            f"{what}: the reference is neither env:NAME nor an existing file",
            hint="name the place of the secret, not the secret itself",
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
