"""Changes to a ring: make, revoke; and the ring to use, with the key that is due made on the way.

Every change reads, decides, and commits what it decided at the version that it read. If the store has moved it begins
again: of many that find a key due, one makes it, and the others find it made.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, TypeVar
from uuid import UUID, uuid4

from dpmiddleware.clock import Clock
from dpmiddleware.crypto.encryptors import Algorithm
from dpmiddleware.crypto.secret import Secret
from dpmiddleware.errors import (
    ConfigurationError,
    DataProtectionError,
    RepositoryError,
    VersionConflict,
)
from dpmiddleware.instants import Instant
from dpmiddleware.keys import document, wrapping
from dpmiddleware.keys.interfaces import (
    DocumentSigner,
    DocumentVerifier,
    KeyRepository,
    KeyWrapper,
    StoredDocument,
)
from dpmiddleware.keys.key import Key, Revocation
from dpmiddleware.keys.loading import plan_for, ring_of
from dpmiddleware.keys.reader import KeyReader
from dpmiddleware.keys.reading import Reading
from dpmiddleware.keys.ring import KeyRing
from dpmiddleware.keys.rotation import NewKey, Plan, RotationPolicy, plan
from dpmiddleware.telemetry import emit

__all__ = ["KeyManager", "RevokedAll"]

_ATTEMPTS: Final = 20
"""How often a change is begun again; each lost race means that somebody else got something done."""
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class RevokedAll:
    """What `KeyManager.revoke_all` did. survivors: keys created at or after ``date``, which it does not reach."""

    date: Instant
    revoked: tuple[Key, ...]
    survivors: tuple[Key, ...]
    new_key: UUID


class KeyManager:
    """Reads and changes one ring. Everything here may do I/O; nothing here runs inside a warm request.

    ring: the ring's name, bound into wrappings and signatures. wrappers: the first wraps new keys, all unwrap; none:
    keys are stored in clear. allow_plain: whether keys in clear are read although there are wrappers.
    verifier: where given, only documents that it lets pass are used. signer: signs what is written.
    """

    def __init__(
        self,
        repository: KeyRepository,
        clock: Clock,
        *,
        ring: str = "",
        policy: RotationPolicy | None = None,
        algorithm: Algorithm = Algorithm.AES_256_CBC_HMACSHA256,
        wrappers: Sequence[KeyWrapper] = (),
        allow_plain: bool | None = None,
        signer: DocumentSigner | None = None,
        verifier: DocumentVerifier | None = None,
        auto_create_keys: bool = True,
    ) -> None:
        self.repository = repository
        self.clock = clock
        self.ring_name = ring
        self.policy = policy or RotationPolicy()
        self.algorithm = algorithm
        self.wrappers = tuple(wrappers)
        self.signer = signer
        self.verifier = verifier
        self.auto_create_keys = auto_create_keys
        plain = not wrappers if allow_plain is None else allow_plain
        self._reader = KeyReader(repository, ring, self.wrappers, allow_plain=plain, verifier=verifier)

    def forget_threads(self) -> None:
        """In the child of a fork a lock may be held by nobody."""
        self._reader.forget_threads()

    def now(self) -> Instant:
        """The clock's time."""
        return Instant.of(self.clock.now())

    @property
    def revocations(self) -> tuple[Revocation, ...]:
        """Those that this process has read so far, also in a walk that led to no ring."""
        return self._reader.revocations

    def read(self) -> Reading:
        """The key walk; see `KeyReader.read`."""
        return self._reader.read()

    # --- the ring to use ------------------------------------------------------------------------------------

    def load_ring(self, *, create_keys: bool | None = None) -> KeyRing:
        """Read the ring, and first create the key that is due; ``create_keys`` overrides ``auto_create_keys``.

        `IncompleteReadingError` if a revocation may be missing, `ConfigurationError` if there are documents and none is
        accepted, `KeyUnwrapError` or `NoUsableKeyError` if there are keys and none of them can be used.
        """
        creates = self.auto_create_keys if create_keys is None else create_keys
        return self.retried(lambda: self._load_once(create_keys=creates))

    def _load_once(self, *, create_keys: bool) -> KeyRing:
        now = self.now()
        reading, decided = self._planned(now)
        if decided.make is not None and create_keys:
            failure: DataProtectionError | None = None
            try:
                self._commit_new_key(decided.make, reading)
            except VersionConflict:
                raise
            except DataProtectionError as error:
                failure = error
            reading, decided = self._planned(now)  # after a failure too: the key may be there, and only the reply lost
            if failure is not None and decided.make is not None:
                if decided.protect_with is None:
                    raise failure
                decided = Plan(decided.protect_with, None, f"no key was made: {failure}")
        self._report(reading, decided, now, create_keys=create_keys)
        return ring_of(self.ring_name, reading, decided, now, self.policy)

    def _planned(self, now: Instant) -> tuple[Reading, Plan]:
        reading = self.read()
        return reading, plan_for(reading, now, self.policy)

    def _report(self, reading: Reading, decided: Plan, now: Instant, *, create_keys: bool) -> None:
        location = reading.location
        if decided.blocked:
            emit("making_blocked", "error", "a key is due and is not made", problem=decided.blocked, location=location)
        elif decided.protect_with is None and not create_keys:
            emit("no_default_key", "error", "no key to protect with, and keys are made elsewhere", location=location)
        elif decided.protect_with is not None and decided.protect_with.expiration_date <= now:
            emit("no_default_key", "error", "an expired key goes on protecting", location=location)
        if reading.signed and self.verifier is None:
            emit("signatures_ignored", "warning", "signed documents, and nobody is trusted here", location=location)

    # --- changes --------------------------------------------------------------------------------------------

    def create_key(self, *, activate_now: bool = False, lifetime: timedelta | None = None) -> UUID:
        """Make a key, due or not; it takes over when every member has had the time to see it, or at once.

        A key that cannot be read does not stand in the way here: the operator has decided.
        """
        return self.retried(lambda: self._create_once(activate_now=activate_now, lifetime=lifetime))

    def _create_once(self, *, activate_now: bool, lifetime: timedelta | None) -> UUID:
        reading = self.read()
        now = self.now()
        decided = plan(now, reading.keys, reading.revocations, self.policy)
        has_default = decided.protect_with is not None and now < decided.protect_with.expiration_date
        activation = now + self.policy.propagation if has_default and not activate_now else now
        new = NewKey(now, activation, activation + (lifetime or self.policy.lifetime))
        return self._commit_new_key(new, reading)

    def revoke(self, key_id: UUID, reason: str = "") -> bool:
        """Revoke one key, known or not: everywhere within one poll. ``False``: it was revoked already."""
        return self.retried(lambda: self._revoke_once(key_id, reason))

    def _revoke_once(self, key_id: UUID, reason: str) -> bool:
        reading = self.read()
        if any(revocation.key_id == key_id for revocation in reading.revocations):
            return False
        revocation = document.new_revocation(key_id, date=self.now(), reason=reason)
        self.commit([revocation], reading)
        emit("key_revoked", "warning", key_id=key_id, location=self.repository.location)
        return True

    def revoke_all(self, date: Instant | None = None, reason: str = "", *, future: bool = False) -> RevokedAll:
        """Revoke every key created before ``date``, and make a new one in the same step, created at or after it.

        date: by default the later of now and one tick after the newest creation, so that nothing survives. A later
        date than now has to be meant: ``future=True``.
        """
        return self.retried(lambda: self._revoke_all_once(date, reason, future=future))

    def _revoke_all_once(self, date: Instant | None, reason: str, *, future: bool) -> RevokedAll:
        reading = self.read()
        now = self.now()
        if date is not None and now < date and not future:
            raise ConfigurationError(
                f"{date} lies ahead: keys made until then would be revoked at birth",
                hint="leave the date out to revoke every key there is, or say --future (future=True) to mean it",
            )
        newest = max((key.creation_date for key in reading.keys), default=now)
        date = date or max(now, newest.next())
        born = max(now, date)
        new_id, element = self._new_key(NewKey(born, born, born + self.policy.lifetime))
        self.commit([document.new_revocation(None, date=date, reason=reason), element], reading)
        emit("key_revoked", "warning", key_id="*", location=self.repository.location)
        emit("key_created", "info", key_id=new_id, location=self.repository.location)
        revoked = tuple(key for key in reading.keys if key.creation_date < date)
        survivors = tuple(key for key in reading.keys if date <= key.creation_date and key.revocation is None)
        return RevokedAll(date, revoked, survivors, new_id)

    def _new_key(self, new: NewKey) -> tuple[UUID, ET.Element]:
        """A key that nobody has yet, wrapped."""
        key_id = uuid4()
        element = document.new_key(
            key_id,
            creation=new.creation,
            activation=new.activation,
            expiration=new.expiration,
            algorithm=self.algorithm,
            secret=Secret.random(),
        )
        if self.wrappers:
            wrapping.wrap(element, self.wrappers[0], self.ring_name)
        elif self.repository.location != "memory:":
            emit(
                "keys_not_wrapped",
                "warning",
                "a key is stored in clear: give key_wrapper=",
                location=self.repository.location,
            )
        return key_id, element

    def _commit_new_key(self, new: NewKey, reading: Reading) -> UUID:
        key_id, element = self._new_key(new)
        self.commit([element], reading)
        emit("key_created", "info", key_id=key_id, location=self.repository.location)
        return key_id

    def commit(self, add: Sequence[ET.Element], reading: Reading, remove: Sequence[StoredDocument] = ()) -> None:
        """Sign what is new and store it, if the store is still as it was read."""
        if self.signer is None and (reading.signed or self.verifier is not None):
            raise ConfigurationError(
                "this ring is signed, and there is no signer here: nothing was written",
                hint="give signer=, or make keys where the signer is and say auto_create_keys=False here",
            )
        for element in add:
            if self.signer is not None:
                self.signer.sign(element, self.clock.now())
        named = reading.with_free_names(map(document.dump, add), remove)
        self.repository.commit(add=named, remove=remove, expected=reading.version)

    def retried(self, change: Callable[[], _T]) -> _T:
        """Run a change until it is not overtaken."""
        for _ in range(_ATTEMPTS):
            try:
                return change()
            except VersionConflict:
                continue
        raise RepositoryError(
            f"{self.repository.location} changes faster than it can be read",
            hint="see who writes to it; try again",
        )
