"""`DataProtection`: the object that an application has, with a key ring and protectors for it.

Its constructor checks the arguments and does no I/O. The ring is loaded at its first use, or by
`DataProtection.start`.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from os import PathLike
from typing import Any, ClassVar, Self, Unpack

from dpmiddleware.arguments import checked
from dpmiddleware.clock import Clock, SystemClock
from dpmiddleware.components import repository_from, signer_from, wrappers_from
from dpmiddleware.crypto.encryptors import Algorithm
from dpmiddleware.default_location import KeyHome, find_key_home
from dpmiddleware.errors import ConfigurationError
from dpmiddleware.keys.health import Health
from dpmiddleware.keys.interfaces import KeyRepository, KeyWrapper
from dpmiddleware.keys.manager import KeyManager
from dpmiddleware.keys.policy import PolicySettings, RotationPolicy, policy_from, stated_in
from dpmiddleware.keys.provider import KeyRingProvider
from dpmiddleware.keys.ring import KeyRing
from dpmiddleware.keys.signature import RingSigner, TrustedSigners
from dpmiddleware.keys.signers import PublicKey, Signer, load_public_keys
from dpmiddleware.naming import ARGUMENT, TABLE, VARIABLE, Naming, written_as
from dpmiddleware.protection.protector import DataProtector
from dpmiddleware.settings import (
    SETTINGS,
    arguments_from,
    is_in_environment,
    settings_in_environment,
    settings_in_file,
)
from dpmiddleware.telemetry import emit
from dpmiddleware.tracebacks import hides_locals

__all__ = ["SETTINGS", "DataProtection"]


@checked
class DataProtection:
    """A key ring, used under one application name.

    application: the name that all members of a farm share. ``None``: no name, as in .NET if none is set.
    repository: where the keys are stored: a URL, a path, or an object. By default, where ASP.NET Core stores them.
    key_wrapper: what encrypts the keys at rest. Of several, the first wraps, and all unwrap.
    signer: signs the key documents that this process writes.
    trusted_signers: public keys or certificates, or their paths. Only documents with one of their signatures are used.
    ring: the name of the ring; by default the application name. Signatures and wrappings of this package contain it.
    policy: when keys are created and how they are polled for; or its time spans as further arguments (``poll="5s"``).
    algorithm: the algorithm of new keys.
    auto_create_keys: ``False`` if this process only reads keys.
    clock: where the time comes from.

    The constructor does not read the variables ``DPM_…``; `from_env` does.

    >>> dp = DataProtection("shop", repository="memory:")
    >>> carts = dp.create_protector("Shop.Cart", "v1")
    >>> carts.unprotect(carts.protect("3 apples"))
    '3 apples'
    """

    _warns_of_memory: ClassVar[bool] = True
    _creates_home = True
    """Whether the default place of the keys, if it is a folder that is missing, may be created."""

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
        **time_spans: Unpack[PolicySettings],
    ) -> None:
        self.application = _checked_name(application)
        self.ring = ring if ring is not None else application or ""
        self.policy = policy_from(time_spans, policy)
        """Of this process; the ring may have one of its own: `KeyRing.policy`."""
        self.clock: Clock = clock or SystemClock()
        self.home: KeyHome | None = None
        """The default place of the keys, once it has been chosen because ``repository`` was not given."""
        self._repository = None if repository is None else repository_from(repository)
        self._wrappers = None if key_wrapper is None else wrappers_from(key_wrapper)
        self._signer = signer_from(signer)
        self._trusted = trusted_signers.split() if isinstance(trusted_signers, str) else tuple(trusted_signers)
        if (self._signer or self._trusted) and not self.ring:
            raise ConfigurationError(
                "a ring with signed documents needs a name",
                hint='pass ring="shop", the same name in all processes that share the ring',
            )
        self._algorithm = algorithm
        self._auto_create_keys = auto_create_keys
        self._stated_policy = stated_in(time_spans, policy)
        given = {"repository": repository, "key_wrapper": key_wrapper, "signer": signer, "ring": ring}
        self.stated = self._stated_policy | {"application", *(name for name in given if given[name] is not None)}
        """The names of the settings that were given."""
        self.naming: Naming = ARGUMENT
        """How errors write the names of settings."""
        self.provider = KeyRingProvider(self._open_manager, clock=self.clock, policy=self.policy)
        """Keeps the ring current."""

    # --- protectors -----------------------------------------------------------------------------------------

    def create_protector(self, *purposes: str) -> DataProtector:
        """Create a protector for these purposes. No I/O."""
        application = (self.application,) if self.application else ()
        return DataProtector(self.provider, application).create_protector(*purposes)

    def current(self) -> KeyRing:
        """Return the ring; see `KeyRingProvider.current`."""
        return self.provider.current()

    def now(self) -> datetime:
        """Return the time of the clock."""
        return self.clock.now()

    # --- the ring -------------------------------------------------------------------------------------------

    @checked
    def start(self, *, wait: bool = False) -> None:
        """Begin to load the ring, and return immediately.

        wait: return when the ring can protect; `KeyManagementError` if it cannot. For a server that should not start
        to serve without a ring (for instance in gunicorn's ``post_fork``).
        """
        self.provider.start()
        if wait:
            self.provider.current().protecting_key()

    def health(self) -> Health:
        """Return the state of the ring, without I/O. Starts to load the ring if that has not been done."""
        return self.provider.health()

    def wait_is_due(self, key_id: bytes | None) -> bool:
        """See `KeyRingProvider.wait_is_due`."""
        return self.provider.wait_is_due(key_id)

    def wait(self, key_id: bytes | None) -> None:
        """See `KeyRingProvider.wait`."""
        self.provider.wait(key_id)

    @property
    def manager(self) -> KeyManager:
        """Reads and changes the ring: creates and revokes keys."""
        return self.provider.manager

    @property
    def repository(self) -> KeyRepository:
        """Where the keys are stored."""
        return self.manager.repository

    def _open_manager(self) -> KeyManager:
        """Create the manager. Called at the first use, since this may look at the machine and read files."""
        with written_as(SETTINGS, self.naming):
            return self._opened_manager()

    def _opened_manager(self) -> KeyManager:
        repository, wrappers, auto_create_keys = self._repository, self._wrappers, self._auto_create_keys
        if repository is None:
            self.home = find_key_home(create=self._creates_home and auto_create_keys)
            repository = repository_from(self.home.repository)
            wrappers = wrappers or wrappers_from(self.home.key_wrapper)
            auto_create_keys = auto_create_keys and self.home.auto_create_keys
        if repository.location != "memory:":
            self._report_ignored()
        elif self._warns_of_memory:
            message = "keys are in memory only: a restart signs all users out; set repository="
            emit("keys_in_memory", "warning", message, why=self.home.why if self.home else "")
        key_wrappers, allow_plain = wrappers or wrappers_from(None)
        return KeyManager(
            repository,
            self.clock,
            ring=self.ring,
            policy=self.policy,
            stated_policy=self._stated_policy,
            algorithm=self._algorithm,
            wrappers=key_wrappers,
            allow_plain=allow_plain,
            signer=None if self._signer is None else RingSigner(self._signer, ring=self.ring),
            verifier=self._open_verifier(),
            auto_create_keys=auto_create_keys,
        )

    def _report_ignored(self) -> None:
        """A variable ``DPM_…`` that is not read is a surprise: keys are elsewhere, or not wrapped."""
        ignored = [] if self.naming.reads_variables else is_in_environment(os.environ, but=self.stated)
        if ignored:
            emit(
                "environment_ignored",
                "warning",
                "variables are set, but this DataProtection does not read them",
                variables=", ".join(map(VARIABLE.write, ignored)),
            )

    def _open_verifier(self) -> TrustedSigners | None:
        """Read the trusted public keys. This process trusts its own signer, too."""
        keys: list[PublicKey] = []
        for trusted in self._trusted:
            keys += load_public_keys(os.fspath(trusted)) if isinstance(trusted, str | PathLike) else [trusted]
        if self._signer is not None:
            keys.append(self._signer.public_key)
        return TrustedSigners(keys, ring=self.ring) if keys else None

    # --- settings -------------------------------------------------------------------------------------------

    @classmethod
    @hides_locals
    @checked
    def from_config(cls, settings: Mapping[str, Any], *, naming: Naming = ARGUMENT, **parts: Any) -> Self:
        """Create from a mapping of plain values, such as a section of a settings file.

        Names are those of the constructor; ``algorithm`` is the name of an `Algorithm`. Unknown names are refused.
        ``parts``: further arguments of the constructor, for objects that a file cannot contain.
        ``naming``: how errors write the names of settings (`dpmiddleware.naming`).
        """
        with written_as(SETTINGS, naming):
            made = cls(**arguments_from(settings, parts))
        made.naming = naming
        return made

    @classmethod
    @hides_locals
    @checked
    def from_env(cls, environment: Mapping[str, str] | None = None, **parts: Any) -> Self:
        """Create from the variables ``DPM_APPLICATION``, ``DPM_REPOSITORY``, ``DPM_KEY_WRAPPER``, …

        An empty variable is the same as none, an unknown one is refused. Lists are separated by white space;
        ``DPM_AUTO_CREATE_KEYS`` is ``true`` or ``false``. ``parts``: as for `from_config`.
        """
        with written_as(SETTINGS, VARIABLE):
            values = settings_in_environment(os.environ if environment is None else environment)
        return cls.from_config(values, naming=VARIABLE, **parts)

    @classmethod
    @hides_locals
    @checked
    def from_toml(cls, path: PathLike[str] | str, **parts: Any) -> Self:
        """Create from the table ``[data_protection]`` of a TOML file. ``parts``: as for `from_config`."""
        return cls.from_config(settings_in_file(path), naming=TABLE, **parts)

    @hides_locals
    def with_parts(self, **parts: Any) -> Self:
        """The same ring with other parts, for a tool. All the rest are the objects of this one, which stays as it is.

        A tool changes only a repository that was named: the default place of the keys is not created if it is missing.

        parts: ``repository``, ``key_wrapper``, ``signer``, ``algorithm``, ``auto_create_keys``, as settings or objects.
        """
        made: Self = copy.copy(self)
        made._creates_home = False
        with written_as(SETTINGS, self.naming):
            made._take(arguments_from({"application": self.application, **parts}, {}))
        made.stated = self.stated | parts.keys()
        return made

    def _take(self, parts: Mapping[str, Any]) -> None:
        if "repository" in parts:
            self._repository = repository_from(parts["repository"])
        if "key_wrapper" in parts:
            self._wrappers = wrappers_from(parts["key_wrapper"])
        self._signer = signer_from(parts["signer"]) if "signer" in parts else self._signer
        self._algorithm = parts.get("algorithm", self._algorithm)
        self._auto_create_keys = parts.get("auto_create_keys", self._auto_create_keys)
        self.provider = KeyRingProvider(self._open_manager, clock=self.clock, policy=self.policy)

    def __repr__(self) -> str:
        return f"<DataProtection {self.application!r}>"


def _checked_name(application: str | None) -> str | None:
    if application is not None and not application.strip():
        raise ConfigurationError(
            f"the application name {application!r} is empty, or not text",
            hint='use a name such as "shop", or None for no name',
        )
    return application
