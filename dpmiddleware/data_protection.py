"""`DataProtection`, the object that an application holds: a ring, and protectors for it.

Constructing it checks what it is given and does no I/O with any store. The ring is loaded at the first use, or by
`DataProtection.start`.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from datetime import datetime
from os import PathLike
from pathlib import Path
from typing import Any, Final, Self

from dpmiddleware.clock import Clock, SystemClock
from dpmiddleware.components import repository_from, signer_from, wrappers_from
from dpmiddleware.crypto.encryptors import Algorithm
from dpmiddleware.default_location import KeyHome, find_key_home
from dpmiddleware.errors import ConfigurationError
from dpmiddleware.keys.health import Health
from dpmiddleware.keys.interfaces import KeyRepository, KeyWrapper
from dpmiddleware.keys.manager import KeyManager
from dpmiddleware.keys.provider import KeyRingProvider
from dpmiddleware.keys.ring import KeyRing
from dpmiddleware.keys.rotation import RotationPolicy
from dpmiddleware.keys.signature import PublicKey, RingSigner, Signer, TrustedSigners, load_public_keys
from dpmiddleware.printable import printable
from dpmiddleware.protection.protector import DataProtector
from dpmiddleware.telemetry import emit

__all__ = ["DataProtection"]

_SETTINGS: Final = (
    "application",
    "repository",
    "key_wrapper",
    "signer",
    "trusted_signers",
    "ring",
    "algorithm",
    "auto_create_keys",
)
"""What `DataProtection.from_config` takes, and in capitals behind ``DPM_`` `DataProtection.from_env`."""


class DataProtection:
    """A ring of keys under one application name.

    application: the name that all members of a farm share; ``None`` means none, as in .NET where no name was set.
    repository: where keys are, as URL, path or object; left out: where the documentation of ASP.NET Core puts them.
    key_wrapper: what keys are wrapped with at rest; of a list the first wraps, all unwrap.
    signer, trusted_signers: who signs documents, and whose signatures count (paths of public keys or certificates).
    ring: the ring's name, by default the application's; signatures and our own wrappings are bound to it.
    auto_create_keys: ``False`` for a pure reader.

    >>> dp = DataProtection("shop", repository="memory:")
    >>> carts = dp.create_protector("Shop.Cart", "v1")
    >>> carts.unprotect(carts.protect("3 apples"))
    '3 apples'
    """

    def __init__(
        self,
        application: str | None,
        *,
        repository: KeyRepository | PathLike[str] | str | None = None,
        key_wrapper: KeyWrapper | str | Sequence[KeyWrapper | str] | None = None,
        signer: Signer | str | None = None,
        trusted_signers: Sequence[PublicKey | PathLike[str] | str] | str = (),
        ring: str | None = None,
        policy: RotationPolicy | None = None,
        algorithm: Algorithm = Algorithm.AES_256_CBC_HMACSHA256,
        auto_create_keys: bool = True,
        clock: Clock | None = None,
    ) -> None:
        self.application = _checked_name(application)
        self.ring = ring if ring is not None else application or ""
        self.policy = policy or RotationPolicy()
        self.clock: Clock = clock or SystemClock()
        self.home: KeyHome | None = None
        """Where keys were put because nobody said, once that has been decided."""
        self._repository = None if repository is None else repository_from(repository)
        self._wrappers, self._allow_plain = wrappers_from(key_wrapper)
        self._wrapper_given = key_wrapper is not None
        self._signer = signer_from(signer)
        self._trusted = trusted_signers.split() if isinstance(trusted_signers, str) else tuple(trusted_signers)
        if (self._signer or self._trusted) and not self.ring:
            raise ConfigurationError("a signed ring needs a name", hint='ring="shop", the same for all who share it')
        self._algorithm = _checked_algorithm(algorithm)
        self._auto_create_keys = _checked_truth("auto_create_keys", auto_create_keys)
        self.provider = KeyRingProvider(self._open_manager, clock=self.clock, policy=self.policy)
        """Keeps the ring current."""

    # --- protectors -----------------------------------------------------------------------------------------

    def create_protector(self, *purposes: str) -> DataProtector:
        """A protector for these purposes. No I/O."""
        if not purposes or not all(isinstance(purpose, str) for purpose in purposes):
            raise ConfigurationError("a protector needs purposes, as text", hint='create_protector("Shop.Cart", "v1")')
        return DataProtector(self.provider, (self.application, *purposes) if self.application else purposes)

    def current(self) -> KeyRing:
        """The ring; see `KeyRingProvider.current`."""
        return self.provider.current()

    def now(self) -> datetime:
        """The clock's time."""
        return self.clock.now()

    # --- the ring -------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to load the ring, and return at once."""
        self.provider.start()

    def health(self) -> Health:
        """How the ring is, from memory; begins to load it if nobody did."""
        return self.provider.health()

    def wait_is_due(self, key_id: bytes | None) -> bool:
        """See `KeyRingProvider.wait_is_due`."""
        return self.provider.wait_is_due(key_id)

    def wait(self, key_id: bytes | None) -> None:
        """See `KeyRingProvider.wait`."""
        self.provider.wait(key_id)

    @property
    def manager(self) -> KeyManager:
        """Reads and changes the ring: keys made, revoked."""
        return self.provider.manager

    @property
    def repository(self) -> KeyRepository:
        """Where the keys are."""
        return self.manager.repository

    def _open_manager(self) -> KeyManager:
        """Put the parts together, at first use: where keys live may depend on the machine, and signers on files."""
        repository, auto_create_keys = self._repository, self._auto_create_keys
        if repository is None:
            self.home = find_key_home()
            repository = repository_from(self.home.repository)
            auto_create_keys = auto_create_keys and self.home.auto_create_keys
            if not self._wrapper_given:
                self._wrappers, self._allow_plain = wrappers_from(self.home.key_wrapper)
        if repository.location == "memory:":
            why = "" if self.home is None else self.home.why
            hint = "keys are in memory only: a restart logs everybody out; give repository="
            emit("keys_in_memory", "warning", hint, why=why)
        verifier = self._verifier()
        return KeyManager(
            repository,
            self.clock,
            ring=self.ring,
            policy=self.policy,
            algorithm=self._algorithm,
            wrappers=self._wrappers,
            allow_plain=self._allow_plain,
            signer=None if self._signer is None else RingSigner(self._signer, ring=self.ring),
            verifier=verifier,
            auto_create_keys=auto_create_keys,
        )

    def _verifier(self) -> TrustedSigners | None:
        """Who is trusted: those named, and who signs here."""
        keys: list[PublicKey] = []
        for trusted in self._trusted:
            keys += load_public_keys(os.fspath(trusted)) if isinstance(trusted, str | PathLike) else [trusted]
        if self._signer is not None:
            keys.append(self._signer.public_key)
        return TrustedSigners(keys, ring=self.ring) if keys else None

    # --- settings -------------------------------------------------------------------------------------------

    @classmethod
    def from_config(cls, settings: Mapping[str, Any], **parts: Any) -> Self:
        """From a mapping of plain values, as a settings file has them. ``parts``: objects that no file can hold.

        Names are those of the constructor; ``algorithm`` is a name of `Algorithm`. An unknown name is refused.
        """
        values = {name: value for name, value in settings.items() if value is not None or name == "application"}
        if unknown := sorted(set(values) - set(_SETTINGS)):
            hint = f"known: {', '.join(_SETTINGS)}"
            raise ConfigurationError(f"there is no setting {printable(unknown[0])!r}", hint=hint)
        if "application" not in values:
            raise ConfigurationError("no application name", hint='application = "shop", the same in the whole farm')
        algorithm = values.get("algorithm")
        if isinstance(algorithm, str):
            values["algorithm"] = _algorithm_called(algorithm)
        return cls(**values, **parts)

    @classmethod
    def from_env(cls, environment: Mapping[str, str] | None = None, **parts: Any) -> Self:
        """From ``DPM_APPLICATION``, ``DPM_REPOSITORY``, ``DPM_KEY_WRAPPER`` …; an empty variable counts as none.

        Lists are separated by white space; ``DPM_AUTO_CREATE_KEYS`` is ``true`` or ``false``.
        """
        variables = os.environ if environment is None else environment
        values: dict[str, Any] = {name: variables.get(f"DPM_{name.upper()}") or None for name in _SETTINGS}
        if values["application"] is None:
            raise ConfigurationError("DPM_APPLICATION is not set", hint="the same name in the whole farm")
        if values["auto_create_keys"] is not None:
            values["auto_create_keys"] = _truth("DPM_AUTO_CREATE_KEYS", values["auto_create_keys"])
        return cls.from_config(values, **parts)

    @classmethod
    def from_toml(cls, path: PathLike[str] | str, **parts: Any) -> Self:
        """From the table ``[data_protection]`` of a TOML file."""
        try:
            with Path(path).open("rb") as file:
                settings = tomllib.load(file)
        except (OSError, tomllib.TOMLDecodeError) as error:
            raise ConfigurationError(f"{printable(path)} cannot be read: {error}") from error
        table = settings.get("data_protection")
        if not isinstance(table, dict):
            raise ConfigurationError(f"{printable(path)} has no table [data_protection]")
        return cls.from_config(table, **parts)

    def __repr__(self) -> str:
        return f"<DataProtection {self.application!r}>"


def _checked_name(application: str | None) -> str | None:
    if application is not None and (not isinstance(application, str) or not application.strip()):
        raise ConfigurationError(
            "an empty application name", hint='DataProtection("shop", …); None means none, and has to be said'
        )
    return application


def _checked_algorithm(algorithm: Algorithm) -> Algorithm:
    if not isinstance(algorithm, Algorithm):
        raise ConfigurationError(f"{algorithm!r} is no Algorithm", hint="algorithm=Algorithm.AES_256_GCM")
    return algorithm


def _checked_truth(name: str, value: bool) -> bool:
    """The text "false" of a settings file is true: nobody should find out when a reader has made a key."""
    if not isinstance(value, bool):
        raise ConfigurationError(f"{name}= is {printable(repr(value))}, neither True nor False")
    return value


def _algorithm_called(name: str) -> Algorithm:
    try:
        return Algorithm[name.upper()]
    except KeyError:
        names = ", ".join(Algorithm.__members__)
        raise ConfigurationError(f"there is no algorithm {printable(name)!r}", hint=f"known: {names}") from None


def _truth(name: str, text: str) -> bool:
    words: dict[str, bool] = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if text.strip().lower() not in words:
        raise ConfigurationError(f"{name} is neither true nor false")
    return words[text.strip().lower()]
