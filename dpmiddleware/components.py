r"""From a URL to the part that it names: repositories, key wrappers, signers. ::

    repository    memory: · a path, file:///… · redis:// rediss:// unix:// · any SQLAlchemy URL · azblob:// · s3:// · registry://
    key_wrapper   x509:///… · keyblob:///… · secret:… · azurekv://… · awskms:///… · openbao://… · dpapi: · plain:
    signer        ed25519:///signer.pem

An object is taken as it is. No scheme, or one of a single letter (``C:\keys``), is a path. A scheme that nobody here
knows is SQLAlchemy's if it has that dialect. Adapters are imported when they are named, so that their libraries stay
extras. Making a part does no I/O with its store.
"""

from __future__ import annotations

import difflib
import importlib
import re
from collections.abc import Iterable, Sequence
from os import PathLike, fspath
from typing import Any, Final, cast

from dpmiddleware.errors import ConfigurationError
from dpmiddleware.keys.interfaces import KeyRepository, KeyWrapper
from dpmiddleware.keys.signature import Ed25519Signer, Signer
from dpmiddleware.printable import printable, without_password

__all__ = ["PLAIN", "repository_from", "signer_from", "wrappers_from"]

PLAIN: Final = "plain:"
"""In the place of a key wrapper: keys in clear are read, and written where it comes first. Said, not assumed."""

_REPOSITORIES: Final = {
    "memory": "memory.MemoryKeyRepository",
    "file": "files.FileKeyRepository",
    "redis": "redis.RedisKeyRepository",
    "rediss": "redis.RedisKeyRepository",
    "unix": "redis.RedisKeyRepository",
    "azblob": "azure_blob.AzureBlobKeyRepository",
    "s3": "s3.S3KeyRepository",
    "registry": "windows_registry.RegistryKeyRepository",
}
_WRAPPERS: Final = {
    "x509": "x509.X509KeyWrapper",
    "keyblob": "key_blob.KeyBlobKeyWrapper",
    "secret": "secret_key.SecretKeyWrapper",
    "azurekv": "azure_key_vault.AzureKeyVaultKeyWrapper",
    "awskms": "aws_kms.AwsKmsKeyWrapper",
    "openbao": "openbao.OpenBaoKeyWrapper",
    "dpapi": "dpapi.DpapiKeyWrapper",
}
_COLON_FORGOTTEN: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+//")
_SCHEME: Final = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+):")


def repository_from(given: KeyRepository | PathLike[str] | str) -> KeyRepository:
    """The repository that a URL or path names. `ConfigurationError`, `MissingExtraError`."""
    if isinstance(given, PathLike):
        given = fspath(given)
    if not isinstance(given, str):
        _check(given, ("read", "version", "commit", "location"), "repository", "KeyRepository")
        return given
    scheme = _scheme_of(given)
    if not scheme:
        if _COLON_FORGOTTEN.match(given):  # else a folder would be made, and a password would stand in its name
            raise ConfigurationError(
                "repository= looks like a URL without its colon", hint="redis://…; a path begins with / or ./"
            )
        return cast("KeyRepository", _class_of("repositories", "files.FileKeyRepository").from_url(given))
    known = _REPOSITORIES.get(scheme)
    if known is None and _is_sql_dialect(scheme):
        known = "sql.SqlKeyRepository"
    if known is None:
        raise _unknown("repository", given, scheme, [*_REPOSITORIES, "postgresql", "mysql", "sqlite"])
    return cast("KeyRepository", _class_of("repositories", known).from_url(given))


def wrappers_from(
    given: KeyWrapper | str | Sequence[KeyWrapper | str] | None,
) -> tuple[tuple[KeyWrapper, ...], bool]:
    """The key wrappers, and whether keys in clear are read beside them (``plain:``, or nothing configured)."""
    if given is None:
        return (), True
    items: list[KeyWrapper | str] = []
    for item in (given,) if isinstance(given, str) or not isinstance(given, Iterable) else given:
        items += item.split() if isinstance(item, str) else [item]
    if not items:
        raise ConfigurationError("key_wrapper= is empty", hint='leave it out, or say "plain:" to mean keys in clear')
    wrappers = [_wrapper_from(item) for item in items if item != PLAIN]
    if items[0] == PLAIN and wrappers:
        raise ConfigurationError('"plain:" comes first', hint="the first wraps new keys; put plain: behind the others")
    return tuple(wrappers), PLAIN in items


def _wrapper_from(given: KeyWrapper | str) -> KeyWrapper:
    if not isinstance(given, str):
        _check(given, ("wrap", "unwrap", "decryptor_types"), "key wrapper", "KeyWrapper")
        return given
    scheme = _scheme_of(given)
    if scheme not in _WRAPPERS:
        raise _unknown("key_wrapper", given, scheme, [*_WRAPPERS, "plain"])
    return cast("KeyWrapper", _class_of("at_rest", _WRAPPERS[scheme]).from_url(given))


def signer_from(given: Signer | str | None) -> Signer | None:
    """The signer of documents; hardware and KMS signers are given as objects."""
    if given is None or not isinstance(given, str):
        return given
    scheme = _scheme_of(given)
    if scheme != "ed25519":
        raise _unknown("signer", given, scheme, ["ed25519"])
    return Ed25519Signer.from_url(given)


def _scheme_of(url: str) -> str:
    match = _SCHEME.match(url)
    return match["scheme"].lower() if match else ""


def _class_of(package: str, name: str) -> Any:
    module, _, class_name = name.partition(".")
    return getattr(importlib.import_module(f"dpmiddleware.{package}.{module}"), class_name)


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


def _unknown(argument: str, url: str, scheme: str, known: list[str]) -> ConfigurationError:
    near = difflib.get_close_matches(scheme, known, 1)
    hint = f"did you mean {near[0]}:?" if near else f"known: {', '.join(sorted(known))}"
    return ConfigurationError(
        f"{argument}={without_password(url)!r}: nothing here is called {printable(scheme)!r}", hint=hint
    )


def _check(given: object, members: tuple[str, ...], what: str, interface: str) -> None:
    """Refuse an object that is no such part: a mistake shows at start, not at the first refresh."""
    missing = [member for member in members if not hasattr(type(given), member)]
    if missing:
        raise ConfigurationError(
            f"a {type(given).__name__} is no {what}: it has no {', '.join(missing)}",
            hint=f"give a URL, or an object like dpmiddleware.keys.interfaces.{interface}",
        )
