"""Parameters of ours in a store's URL: taken out before the store's client sees it.

::

    scheme://…?key=…&endpoint=…&region=…&password=env:NAME      password: or the path of a file

Whatever else stands there is the client's and stays as it is written.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote_plus

from dpmiddleware.at_rest.sources import read_reference
from dpmiddleware.errors import ConfigurationError
from dpmiddleware.printable import printable, without_password

__all__ = ["Password", "take_parameters"]


@dataclass(frozen=True, slots=True)
class Password:
    """Where a password stands: ``env:NAME`` or the path of a file. Read when a connection is made, not before."""

    reference: str

    def read(self) -> str:
        """The password, without the line end that editors put behind it. `ConfigurationError` where there is none."""
        return read_reference(self.reference, "password").decode("utf-8", "surrogateescape").rstrip("\r\n")


def take_parameters(url: str, *names: str) -> tuple[str, dict[str, str]]:
    """``url`` without the query parameters ``names``, and their values. `ConfigurationError` for one given twice."""
    base, question, query = url.partition("?")
    taken: dict[str, str] = {}
    kept: list[str] = []
    for pair in query.split("&") if question else ():
        name, _, value = pair.partition("=")
        if name not in names:
            kept.append(pair)
        elif name in taken or not value:
            raise ConfigurationError(f"{without_password(url)}: {printable(name)} is empty or given twice")
        else:
            taken[name] = unquote_plus(value)
    return (f"{base}?{'&'.join(kept)}" if kept else base), taken
