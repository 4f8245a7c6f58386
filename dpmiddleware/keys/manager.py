"""Reads a ring and changes it: create the key that is due, create and revoke keys.

Every change reads, decides, and commits at the version that it read. If the store has changed in between, the change is
retried: of many processes that find a key due, one creates it, and the others find it in the store.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Final, TypeVar
from uuid import UUID, uuid4

from dpmiddleware.clock import Clock
from dpmiddleware.crypto.encryptors import Algorithm
from dpmiddleware.crypto.secret import Secret
from dpmiddleware.errors import ConfigurationError, DataProtectionError, RepositoryError, VersionConflict
from dpmiddleware.instants import Instant
from dpmiddleware.keys import document, wrapping
from dpmiddleware.keys.interfaces import DocumentSigner, DocumentVerifier, KeyRepository, KeyWrapper, StoredDocument
from dpmiddleware.keys.key import Revocation, RevokedAll
from dpmiddleware.keys.loading import plan_for, ring_of
from dpmiddleware.keys.policy import POLICY_SETTINGS, RotationPolicy
from dpmiddleware.keys.reader import Choice, KeyReader
from dpmiddleware.keys.reading import Reading
from dpmiddleware.keys.ring import KeyRing
from dpmiddleware.keys.rotation import NewKey, Plan, plan, replacement, replacement_of_all
from dpmiddleware.telemetry import emit
from dpmiddleware.tracebacks import HidesLocals

__all__ = ["KeyManager"]

_ATTEMPTS: Final = 20
"""Of one change. Each lost race means that another process has made a change."""

_T = TypeVar("_T")


class KeyManager(HidesLocals):
    """Reads and changes one ring. Everything here may do I/O, and nothing here runs in a warm request.

    ring: the ring's name, which wrappings and signatures are bound to.
    policy: of this process, for what the ring's own policy leaves open. algorithm: of new keys.
    stated_policy: the time spans of ``policy`` that somebody has set, and that the ring's own may contradict.
    wrappers: the first wraps new keys, all unwrap. Without any, keys are stored unencrypted.
    allow_plain: whether unencrypted keys are read; by default, if there are no wrappers.
    signer: signs what is written. verifier: if given, only documents that it accepts are used.
    auto_create_keys: whether `load_ring` creates a key that is due.
    """

    def __init__(
        self,
        repository: KeyRepository,
        clock: Clock,
        *,
        ring: str = "",
        policy: RotationPolicy | None = None,
        stated_policy: frozenset[str] = frozenset(),
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
        self.stated_policy = stated_policy
        self.algorithm = algorithm
        self.wrappers = tuple(wrappers)
        self.signer = signer
        self.verifier = verifier
        self.auto_create_keys = auto_create_keys
        self.allow_plain = plain = not wrappers if allow_plain is None else allow_plain
        self._reader = KeyReader(repository, ring, self.wrappers, allow_plain=plain, verifier=verifier)
        self._surveyor = KeyReader(repository, ring, self.wrappers, allow_plain=plain, verifier=verifier, unwraps=False)

    def policy_in(self, reading: Reading) -> RotationPolicy:
        """The ring's own policy, or that of this process if the ring has none."""
        return self.policy if reading.policy is None else reading.policy.policy

    def policy_differences(self, reading: Reading) -> list[str]:
        """The time spans that somebody has set for this process, and that differ from the ring's own policy."""
        used = self.policy_in(reading)
        stated = [name for name in POLICY_SETTINGS if name in self.stated_policy]
        return [name for name in stated if getattr(self.policy, name) != getattr(used, name)]

    def now(self) -> Instant:
        """The time of the clock."""
        return Instant.of(self.clock.now())

    @property
    def revocations(self) -> tuple[Revocation, ...]:
        """All that this process has read so far, even if no ring could be made of a reading."""
        return self._reader.revocations

    def read(
        self, progress: Callable[[int, int], None] = lambda _done, _all: None, opens: Choice | None = None
    ) -> Reading:
        """The key walk; see `KeyReader.read`."""
        return self._reader.read(progress, opens)

    def survey(self, progress: Callable[[int, int], None] = lambda _done, _all: None) -> Reading:
        """The key walk without its last step: documents are verified, but no key is unwrapped, so none is usable.

        For what needs the documents and not their keys, such as a copy: unwrapping costs a call to a key service.
        """
        return self._surveyor.read(progress)

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
        if create_keys and self._put_back(reading):
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
                decided = Plan(decided.protect_with, None, f"no key was created: {failure}")
        self._report(reading, decided, now, create_keys=create_keys)
        return ring_of(self.ring_name, reading, decided, now, self.policy_in(reading))

    def _put_back(self, reading: Reading) -> bool:
        """Store revocations again that the store has lost; ``False`` if there are none, or the store refuses.

        They are stored byte for byte, so that their signatures stay valid and no signer is needed. Not if the store has
        lost keys too: then it is perhaps another store, such as a volume that is not mounted.
        """
        if not reading.lost_revocations or reading.lost or not reading.documents:
            return False
        named = reading.with_free_names(stored for stored, _ in reading.lost_revocations)
        try:
            self.repository.commit(add=named, expected=reading.version)
        except VersionConflict:
            raise
        except DataProtectionError:  # reported as lost, and tried again at the next load
            return False
        for _, revocation in reading.lost_revocations:
            message = "a revocation that the store had lost was stored again"
            emit("key_revoked", "warning", message, key_id=revocation.key_id or "*", location=reading.location)
        return True

    def _planned(self, now: Instant) -> tuple[Reading, Plan]:
        reading = self.read()
        return reading, plan_for(reading, now, self.policy_in(reading))

    def _report(self, reading: Reading, decided: Plan, now: Instant, *, create_keys: bool) -> None:
        location = reading.location
        if decided.blocked:
            emit(
                "making_blocked", "error", "a key is due but is not created", problem=decided.blocked, location=location
            )
        elif decided.protect_with is None and not create_keys:
            emit(
                "no_default_key",
                "error",
                "there is no key to protect with; another process must create it",
                location=location,
            )
        elif decided.protect_with is not None and decided.protect_with.expiration_date <= now:
            emit("no_default_key", "error", "an expired key still protects", location=location)
        if reading.signed and self.verifier is None:
            emit(
                "signatures_ignored", "warning", "the documents are signed, but no signer is trusted", location=location
            )
        differing = self.policy_differences(reading)
        if differing:
            message = "settings of this process differ from the ring's policy, which counts"
            emit("policy_differs", "warning", message, settings=", ".join(differing), location=location)

    # --- changes --------------------------------------------------------------------------------------------

    def create_key(self, *, activate_now: bool = False, lifetime: timedelta | None = None) -> UUID:
        """Create a key, due or not, and return its id. Keys that cannot be read do not prevent this.

        activate_now: whether it protects at once, or as soon as every member of the farm must have read it.
        """
        return self.retried(lambda: self._create_once(activate_now=activate_now, lifetime=lifetime))

    def _create_once(self, *, activate_now: bool, lifetime: timedelta | None) -> UUID:
        reading, now = self.read(), self.now()
        policy = self.policy_in(reading)
        decided = plan(now, reading.keys, reading.revocations, policy)
        has_default = decided.protect_with is not None and now < decided.protect_with.expiration_date
        activation = now + policy.propagation if has_default and not activate_now else now
        new = NewKey(now, activation, activation + (lifetime or policy.lifetime))
        return self._commit_new_key(new, reading)

    def revoke(self, key_id: UUID, reason: str = "") -> bool:
        """Revoke one key, in the store or not, everywhere within one poll. ``False``: it was revoked already.

        If it is the key that protects, its successor is created in the same commit and protects at once: where other
        members only read, nothing would protect until a writer runs again.
        """
        return self.retried(lambda: self._revoke_once(key_id, reason))

    def _revoke_once(self, key_id: UUID, reason: str) -> bool:
        reading, now = self.read(), self.now()
        lost = {revocation for _, revocation in reading.lost_revocations}
        if any(one.key_id == key_id and one not in lost for one in reading.revocations):
            return False
        add = [document.new_revocation(key_id, date=now, reason=reason)]
        new = replacement(now, reading.keys, key_id, reading.revocations, self.policy_in(reading))
        new_id = None
        if new is not None:
            self._refuse_unwrapped_successor(key_id, reading)
            new_id, element = self._new_key(new)
            add.append(element)
        self.commit(add, reading)
        emit("key_revoked", "warning", key_id=key_id, location=self.repository.location)
        if new_id is not None:
            emit("key_created", "info", key_id=new_id, location=self.repository.location)
        return True

    def _refuse_unwrapped_successor(self, key_id: UUID, reading: Reading) -> None:
        """Where keys are wrapped, the other members do not accept a successor that is not."""
        if not self.wrappers and any(key.id == key_id and key.wrapped for key in reading.keys):
            raise ConfigurationError(
                f"{key_id} protects now and is wrapped, but no key wrapper is configured for its successor: "
                "nothing was written",
                hint="set key_wrapper= as in the other members, and revoke it then",
            )

    def revoke_all(self, date: Instant | None = None, reason: str = "", *, future: bool = False) -> RevokedAll:
        """Revoke every key created before ``date``, and create a new key in the same step.

        date: by default now, or one tick after the newest creation date if that is later, so that no key survives.
        future: whether ``date`` may be in the future.
        """
        return self.retried(lambda: self._revoke_all_once(date, reason, future=future))

    def _revoke_all_once(self, date: Instant | None, reason: str, *, future: bool) -> RevokedAll:
        reading, now = self.read(), self.now()
        if date is not None and now < date and not future:
            raise ConfigurationError(
                f"{date} is in the future: keys created until then would be revoked from the start",
                hint="omit the date to revoke every key that there is; add --future (future=True) if you intend this",
            )
        newest = max((key.creation_date for key in reading.keys), default=now)
        date = date or max(now, newest.next())
        born = max(now, date)
        new_id, element = self._new_key(replacement_of_all(now, born, reading.keys, self.policy_in(reading)))
        self.commit([document.new_revocation(None, date=date, reason=reason), element], reading)
        emit("key_revoked", "warning", key_id="*", location=self.repository.location)
        emit("key_created", "info", key_id=new_id, location=self.repository.location)
        revoked = tuple(key for key in reading.keys if key.creation_date < date)
        survivors = tuple(key for key in reading.keys if date <= key.creation_date and key.revocation is None)
        return RevokedAll(date, revoked, survivors, new_id)

    def _new_key(self, new: NewKey) -> tuple[UUID, ET.Element]:
        """A new key, wrapped, and its id."""
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
            message = "a key is stored unencrypted; configure key_wrapper="
            emit("keys_not_wrapped", "warning", message, location=self.repository.location)
        return key_id, element

    def _commit_new_key(self, new: NewKey, reading: Reading) -> UUID:
        key_id, element = self._new_key(new)
        self.commit([element], reading)
        emit("key_created", "info", key_id=key_id, location=self.repository.location)
        return key_id

    def commit(self, add: Sequence[ET.Element], reading: Reading, remove: Sequence[StoredDocument] = ()) -> None:
        """Sign ``add`` and store it, if the store has not changed since ``reading``; else `VersionConflict`."""
        if self.signer is None and (reading.signed or self.verifier is not None):
            raise ConfigurationError(
                "the ring is signed, but no signer is configured: nothing was written",
                hint="set signer=, or set auto_create_keys=False here and create keys in a process that has the signer",
            )
        for element in add:
            if self.signer is not None:
                self.signer.sign(element, self.clock.now())
        named = reading.with_free_names(map(document.dump, add), remove)
        self.repository.commit(add=named, remove=remove, expected=reading.version)

    def retried(self, change: Callable[[], _T]) -> _T:
        """Run a change, again if another process has changed the store in between."""
        for _ in range(_ATTEMPTS):
            with suppress(VersionConflict):
                return change()
        raise RepositoryError(
            f"{self.repository.location} changes faster than it can be read",
            hint="find out what writes to it, and try again",
        )
