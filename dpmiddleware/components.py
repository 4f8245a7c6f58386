r"""From a URL to the component that it names: a repository, key wrappers, a signer. ::

    repository    memory: · a path, file:///… · redis:// rediss:// unix:// · any SQLAlchemy URL · django:alias · azblob://
                  s3:// · registry://
    key_wrapper   x509:///… · keyblob:///… · secret:… · azurekv://… · awskms:///… · openbao://… · dpapi: · plain:
    signer        ed25519:///signer.pem

The tables of schemes are in `dpmiddleware.repositories` and `dpmiddleware.at_rest`. A URL without a scheme, or with one
of a single letter (``C:\keys``), is a path. An object is used as it is. Nothing here contacts a store or a service.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike, fspath
from os.path import lexists
from typing import Any, Final, cast

from dpmiddleware.arguments import checked
from dpmiddleware.at_rest import PLAIN, WRAPPERS
from dpmiddleware.errors import ConfigurationError
from dpmiddleware.keys.interfaces import KeyRepository, KeyWrapper
from dpmiddleware.keys.signers import Signer
from dpmiddleware.printable import printable, without_password
from dpmiddleware.repositories import REPOSITORIES, SQL
from dpmiddleware.secret_sources import may_be_secret
from dpmiddleware.tracebacks import hides_locals

__all__ = ["repository_from", "signer_from", "wrappers_from"]

_SIGNERS: Final = {"ed25519": "keys.signers.Ed25519Signer"}
_FIRST_PART: Final = re.compile(r"[/\\]")
_ALIKE: Final = 0.75
"""How like a known scheme an unknown one has to be, to be repeated where a secret may have been given by mistake."""
_SCHEME: Final = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+):")


@hides_locals
@checked
def repository_from(given: KeyRepository | PathLike[str] | str) -> KeyRepository:
    """Return the repository that a URL or path names. `ConfigurationError`, `MissingExtraError`."""
    if isinstance(given, PathLike):
        given = fspath(given)
    if not isinstance(given, str):
        return given
    scheme = _scheme_of(given)
    if not scheme and may_be_secret(given) and not (given.startswith(("/", "./", "../")) or lexists(given)):
        raise ConfigurationError("repository= looks like a secret, not a path", hint="begin a path with / or ./")
    if not scheme and _looks_like_a_url(given):  # as a path it would become a folder named by a password
        raise ConfigurationError(
            "repository= looks like a URL without its colon or scheme, or like a connection string",
            hint="write redis://…; begin a path with / or ./",
        )
    scheme = scheme or "file"
    classes = {scheme: SQL} if scheme not in REPOSITORIES and _is_sql_dialect(scheme) else REPOSITORIES
    found = _open("repository", given, scheme, classes, ["postgresql", "mysql", "sqlite"])
    return cast("KeyRepository", found)


@hides_locals
@checked
def wrappers_from(
    given: KeyWrapper | str | Sequence[KeyWrapper | str] | None,
) -> tuple[tuple[KeyWrapper, ...], bool]:
    """Return the key wrappers, and whether unwrapped keys are read, too (``plain:``, or nothing configured)."""
    if given is None:
        return (), True
    items: list[KeyWrapper | str] = []
    for item in (given,) if isinstance(given, str) or not isinstance(given, Iterable) else given:
        items += item.split() if isinstance(item, str) else [item]
    if not items:
        raise ConfigurationError("key_wrapper= is empty", hint="name a wrapper, or write plain: for unencrypted keys")
    wrappers = [_wrapper_from(item) for item in items if item != PLAIN]
    if items[0] == PLAIN and wrappers:
        raise ConfigurationError(
            "plain: comes first in key_wrapper=, where the wrapper of new keys belongs", hint="move plain: to the end"
        )
    return tuple(wrappers), PLAIN in items


def _wrapper_from(given: KeyWrapper | str) -> KeyWrapper:
    if not isinstance(given, str):
        return given
    return cast("KeyWrapper", _open("key_wrapper", given, _scheme_of(given), WRAPPERS, ["plain"]))


@hides_locals
def signer_from(given: Signer | str | None) -> Signer | None:
    """Return the signer of documents that a URL names. Signers in hardware or a KMS are given as objects."""
    if given is None or not isinstance(given, str):
        return given
    return cast("Signer", _open("signer", given, _scheme_of(given), _SIGNERS))


def _open(argument: str, url: str, scheme: str, classes: Mapping[str, str], others: Sequence[str] = ()) -> object:
    """Import the class of a scheme and have it open a URL.

    argument: what the URL was given for.
    url: the URL.
    scheme: its scheme, in lower case.
    classes: scheme → module and class.
    others: schemes that are not in ``classes`` but known, to suggest instead of an unknown one.
    """
    if scheme not in classes:
        import difflib

        known = sorted([*classes, *others])
        near = difflib.get_close_matches(scheme, known, 1)
        alike = near and difflib.SequenceMatcher(None, scheme, near[0]).ratio() >= _ALIKE
        what = f"{argument}={without_password(url)!r}" if "://" in url and argument != "key_wrapper" else f"{argument}="
        named = f" {printable(scheme)!r}" if alike or not what.endswith("=") else ""
        raise ConfigurationError(
            f"{what} has {f'the unknown scheme{named}' if scheme else 'no scheme'}",
            hint=f"did you mean {near[0]}:?" if near else f"use one of: {', '.join(known)}",
        )
    module, _, name = classes[scheme].rpartition(".")
    found: Any = getattr(importlib.import_module(f"dpmiddleware.{module}"), name)
    return found.from_url(url)


def _scheme_of(url: str) -> str:
    match = _SCHEME.match(url)
    return match["scheme"].lower() if match else ""


def _looks_like_a_url(path: str) -> bool:
    """Whether a text without a scheme is not meant as a path, as far as its first part says."""
    first = _FIRST_PART.split(path, maxsplit=1)[0]
    user, _, after = first.partition(":")
    is_url = "@" in after or (path[len(first) :].startswith("//") and first not in {"", ".", ".."} and len(user) != 1)
    return is_url or path[:1] in set("'\"") or path[:1].isspace() or ";" in first.partition("=")[2]


def _is_sql_dialect(scheme: str) -> bool:
    try:
        from sqlalchemy.dialects import registry
        from sqlalchemy.exc import NoSuchModuleError
    except ImportError:
        return scheme.partition("+")[0] in {"postgresql", "mysql", "mariadb", "sqlite", "oracle", "mssql"}
    try:
        registry.load(scheme.replace("+", "."))
    except (NoSuchModuleError, ImportError):
        return False
    return True
