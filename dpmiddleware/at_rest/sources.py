"""Where wrappers and signers get their files, passwords and options from: the parts of a configuration URL.

::

    scheme://[host]/path[?option=value&…]

A password, token or secret never stands in a URL: ``env:NAME`` names a variable, anything else is a file, which is
where Docker, Kubernetes and systemd put secrets.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from dpmiddleware.errors import ConfigurationError
from dpmiddleware.printable import printable, without_password

__all__ = ["MAX_FILE", "PartURL", "read_file", "read_reference"]

MAX_FILE: Final = 1024 * 1024
"""Bytes of a key file, certificate or secret; more is none of these."""
_DRIVE: Final = re.compile(r"/[A-Za-z]:[/\\]")


@dataclass(frozen=True, slots=True)
class PartURL:
    """A configuration URL taken apart. ``host``: as written, with port. ``path``: decoded, with its first slash."""

    scheme: str
    host: str
    path: str
    options: dict[str, str]

    @classmethod
    def parse(cls, url: str, *, options: frozenset[str] = frozenset()) -> PartURL:
        """Take ``url`` apart. `ConfigurationError` for an option that is not among ``options``, or given twice."""
        try:
            parts = urlsplit(url)
        except ValueError:
            raise ConfigurationError("a URL that cannot be read") from None
        found: dict[str, str] = {}
        for name, value in parse_qsl(parts.query, keep_blank_values=True):
            if name not in options or name in found:
                known = ", ".join(sorted(options)) or "none"
                raise ConfigurationError(
                    f"{without_password(url)}: option {printable(name)} is unknown or given twice",
                    hint=f"options here: {known}",
                )
            found[name] = value
        if parts.fragment:
            raise ConfigurationError(f"{without_password(url)}: a fragment means nothing here", hint="write # as %23")
        return cls(parts.scheme, parts.netloc, unquote(parts.path), found)

    def file(self) -> Path:
        """The path as that of a local file; `ConfigurationError` where there is a host or no path."""
        if self.host or not self.path:
            raise ConfigurationError(
                f"{self.scheme}: names no file",
                hint=f"an absolute path has three slashes: {self.scheme}:///etc/shop/file",
            )
        return Path(self.path[1:] if _DRIVE.match(self.path) else self.path)


def read_file(path: Path | str, what: str) -> bytes:
    """The bytes of a small local file. ``what`` names it in the `ConfigurationError`."""
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except (OSError, ValueError) as error:
        problem = error.strerror if isinstance(error, OSError) and error.strerror else "no such path"
        raise ConfigurationError(f"{what}: {printable(path)}: {problem}", hint="check path and permissions") from None
    if len(data) > MAX_FILE:
        raise ConfigurationError(f"{what}: {printable(path)}: larger than {MAX_FILE // 1024} KB")
    return data


def read_reference(reference: str, what: str) -> bytes:
    """What ``env:NAME`` or a path leads to, as bytes. `ConfigurationError` where it is absent or empty.

    What is neither is not repeated in the error: it may be the secret itself, put where its place should be named.
    """
    if reference.startswith("env:"):
        name = reference[4:]
        value = os.environb.get(name.encode()) if os.supports_bytes_environ else os.environ.get(name, "").encode()
        if not value:
            raise ConfigurationError(
                f"{what}: the variable {printable(name)} is not set", hint="set it, or name a file"
            )
        return value
    if not Path(reference).is_absolute() and not os.path.lexists(reference.replace("\0", "")):
        raise ConfigurationError(
            f"{what}: neither env:NAME nor a file that is there", hint="a secret is not written here, but where it is"
        )
    data = read_file(reference, what)
    if not data:
        raise ConfigurationError(f"{what}: {printable(reference)} is empty")
    return data
