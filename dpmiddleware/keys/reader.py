"""The key walk: from the documents of a store to keys that may be used.

`KeyReader.read` reads the store, `KeyReader._admit` one document: load, verify, unwrap. Documents are remembered by the
digest of their bytes, refused ones too, so a refresh parses, verifies and unwraps only what is new. A key that could
not be unwrapped is tried again each time.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from dpmiddleware.crypto.encryptors import AuthenticatedEncryptor
from dpmiddleware.errors import (
    DocumentSignatureError,
    KeyUnwrapError,
    MalformedDocumentError,
    UnsupportedAlgorithmError,
)
from dpmiddleware.forks import after_fork
from dpmiddleware.instants import Instant
from dpmiddleware.keys.document import KeyDocument, RevocationDocument, load, may_be_key, may_be_revocation
from dpmiddleware.keys.interfaces import (
    DocumentVerifier,
    KeyRepository,
    KeyWrapper,
    Snapshot,
    StoredDocument,
    check_size,
)
from dpmiddleware.keys.key import Key, Revocation, apply_revocations
from dpmiddleware.keys.reading import Reading, Reason, SetAside
from dpmiddleware.keys.ring_policy import PolicyDocument, RingPolicy, newest
from dpmiddleware.keys.wrapping import is_wrapped, unwrap
from dpmiddleware.keys.xml import SIGNATURE
from dpmiddleware.printable import printable
from dpmiddleware.telemetry import emit
from dpmiddleware.tracebacks import HidesLocals

__all__ = ["Choice", "KeyReader"]

Choice = Callable[[Sequence[Key]], set[UUID]]
"""Of the keys of a ring, none of them unwrapped, the ids of those to unwrap."""
_Item = Key | Revocation | RingPolicy
_TWO_KEYS: Final = "two different keys have this id"
_MAX_LINES: Final = 20
"""Log lines about documents that are not used, per walk."""


@dataclass(frozen=True, slots=True)
class _Refusal:
    """What was found out about a document that is not used; parsed once, as long as the store has it."""

    aside: SetAside
    may_be_revocation: bool
    may_be_key: bool

    @classmethod
    def of(cls, aside: SetAside) -> _Refusal:
        return cls(aside, may_be_revocation(aside.stored), may_be_key(aside.stored))


class KeyReader(HidesLocals):
    """Reads one store. See `dpmiddleware.keys.manager.KeyManager` for the arguments.

    unwraps: whether keys are unwrapped. Without that, no key is usable, and none has a problem.
    """

    def __init__(
        self,
        repository: KeyRepository,
        ring: str,
        wrappers: Sequence[KeyWrapper],
        *,
        allow_plain: bool,
        verifier: DocumentVerifier | None,
        unwraps: bool = True,
    ) -> None:
        self._repository = repository
        self._unwraps = unwraps
        self._ring = ring
        self._wrappers = tuple(wrappers)
        self._allow_plain = allow_plain
        self._verifier = verifier
        self._admitted: dict[bytes, tuple[_Item, bool]] = {}
        self._refused: dict[tuple[bytes, str | None], _Refusal] = {}
        self._keys: dict[UUID, Key] = {}
        self._revocations: dict[Revocation, StoredDocument] = {}
        self._reported: set[tuple[str, ...]] = set()
        self._renew_lock()
        after_fork(self._renew_lock)

    def _renew_lock(self) -> None:
        self._one_at_a_time = threading.Lock()

    @property
    def revocations(self) -> tuple[Revocation, ...]:
        """All that were read so far; they apply until the process ends."""
        return tuple(self._revocations)

    def read(
        self, progress: Callable[[int, int], None] = lambda _done, _all: None, opens: Choice | None = None
    ) -> Reading:
        """The key walk. `RepositoryError` if the store cannot be read; a document that cannot be used is set aside.

        progress: called for each document with the number of documents walked so far, and that of all.
        opens: which keys are unwrapped; by default all. The others are `Key.untried`.

        A revocation applies until the process ends. A key that cannot be unwrapped is kept, unusable.
        """
        with self._one_at_a_time:  # after a newer snapshot, an older one would look like a loss of keys
            return self._walk(self._repository.read(), progress, opens)

    def _walk(self, snapshot: Snapshot, progress: Callable[[int, int], None], opens: Choice | None = None) -> Reading:
        size = sum(len(stored.data) for stored in snapshot.documents)
        check_size(len(snapshot.documents), size, self._repository.location)
        unwraps = self._unwraps and opens is None
        documents, refusals, signed = self._admit_all(snapshot.documents, progress, unwraps=unwraps)
        if opens is not None:
            documents = self._open(documents, opens([item for _, item in documents if isinstance(item, Key)]))
        aside = [refusal.aside for refusal in refusals]
        present = {item: stored for stored, item in documents if isinstance(item, Revocation)}
        self._revocations |= present
        found = _one_of_each(item for _, item in documents if isinstance(item, Key))
        for key in [key for key in found.values() if key.problem and not key.usable]:
            found[key.id] = self._still_open(key)
        keys = apply_revocations(self._with_lost(found), tuple(self._revocations))
        lost = tuple(key for key in keys[len(found) :] if key.revocation is None)
        withdrawn = tuple((stored, item) for item, stored in self._revocations.items() if item not in present)
        self._keys = {key.id: key for key in keys}
        self._report(aside, keys, lost, [item for _, item in withdrawn])
        unread = [one for one in refusals if not one.aside.refused] if self._verifier is None else []
        return Reading(
            snapshot.version,
            self._repository.location,
            keys,
            tuple(self._revocations),
            tuple(aside),
            signed,
            lost,
            next((_cannot_be_read(one) for one in unread if one.may_be_revocation), ""),
            next((_cannot_be_read(one) for one in unread if one.may_be_key), ""),
            tuple(documents),
            withdrawn,
            newest(item for _, item in documents if isinstance(item, RingPolicy)),
        )

    def _admit_all(
        self, stored: Sequence[StoredDocument], progress: Callable[[int, int], None], *, unwraps: bool
    ) -> tuple[list[tuple[StoredDocument, _Item]], list[_Refusal], bool]:
        """The documents in use, those set aside, and whether any in use is signed."""
        admitted: dict[bytes, tuple[_Item, bool]] = {}
        refused: dict[tuple[bytes, str | None], _Refusal] = {}
        documents: list[tuple[StoredDocument, _Item]] = []
        any_signed = False
        aside: list[_Refusal] = []
        for number, one in enumerate(stored):
            progress(number, len(stored))
            digest = hashlib.sha256(one.data + one.problem.encode() if one.problem else one.data).digest()
            known = self._refused.get((digest, one.name))
            outcome = self._admitted.get(digest) or known or self._admit(one, unwraps=unwraps)
            if isinstance(outcome, SetAside):
                outcome = _Refusal.of(outcome)
            if isinstance(outcome, _Refusal):
                refused[digest, one.name] = outcome
                aside.append(replace(outcome, aside=replace(outcome.aside, stored=one)))
                continue
            item, signed = outcome
            documents.append((one, item))
            any_signed |= signed
            if not isinstance(item, Key) or item.usable or not self._unwraps:
                admitted[digest] = outcome
        self._admitted, self._refused = admitted, refused
        return documents, aside, any_signed

    def _open(
        self, documents: Sequence[tuple[StoredDocument, _Item]], chosen: set[UUID]
    ) -> list[tuple[StoredDocument, _Item]]:
        """The documents, with the chosen keys unwrapped. They are read once more: 10,000 trees would be too large."""
        opened: list[tuple[StoredDocument, _Item]] = []
        for stored, item in documents:
            again = isinstance(item, Key) and item.untried and item.id in chosen
            outcome = self._admit(stored, unwraps=True) if again else None
            opened.append((stored, outcome[0] if isinstance(outcome, tuple) else item))
        return opened

    def _admit(self, stored: StoredDocument, *, unwraps: bool) -> tuple[_Item, bool] | SetAside:
        """One document: load, verify, unwrap; and whether it is signed.

        It is verified before it is unwrapped: what an attacker plants never reaches a private key or a key service.
        """
        try:
            document = load(stored)
            if self._verifier is not None:
                self._verifier.verify(document.element)
        except MalformedDocumentError as error:
            return SetAside(stored, str(error), hint=error.hint)
        except DocumentSignatureError as error:
            return SetAside(stored, str(error), Reason.NOT_TRUSTED, error.hint)
        signed = document.element.find(SIGNATURE) is not None
        if isinstance(document, RevocationDocument):
            return Revocation.of(document), signed
        if isinstance(document, PolicyDocument):
            return document.set, signed
        wrapped = is_wrapped(document)
        if not wrapped and not self._allow_plain:
            return SetAside(stored, "the key is not wrapped, but only wrapped keys are accepted", Reason.NOT_WRAPPED)
        return self._unwrap(document, wrapped=wrapped, unwraps=unwraps), signed

    def _unwrap(self, document: KeyDocument, *, wrapped: bool, unwraps: bool) -> Key:
        problem, hint, encryptor = "", "", None
        try:
            if unwraps or (self._unwraps and not wrapped):
                suite, secret = unwrap(document, self._wrappers, self._ring)
                encryptor = AuthenticatedEncryptor(secret, suite)
        except (KeyUnwrapError, MalformedDocumentError, UnsupportedAlgorithmError) as error:
            problem, hint = str(error) or error.code, error.hint
        dates = document.creation_date, document.activation_date, document.expiration_date
        return Key(document.id, *dates, encryptor, problem, wrapped=wrapped, hint=hint)

    def _still_open(self, key: Key) -> Key:
        """Keep a key usable that this process has unwrapped before, if its new wrapping does not open here.

        A key that is wrapped again under a certificate that this process does not have yet logs no user out.
        """
        known = self._keys.get(key.id)
        if key.problem == _TWO_KEYS or known is None or _dates(known) != _dates(key):
            return key
        return replace(key, encryptor=known.encryptor)

    def _with_lost(self, found: dict[UUID, Key]) -> list[Key]:
        """The keys found, and those known from before: a store that loses keys logs no user out."""
        return [*found.values(), *(key for name, key in self._keys.items() if name not in found)]

    def _report(
        self, aside: Sequence[SetAside], keys: Sequence[Key], lost: Sequence[Key], withdrawn: Sequence[Revocation]
    ) -> None:
        """Report each problem once, and again if it was gone in between.

        aside: documents that are not used. keys: all. lost, withdrawn: keys and revocations that the store has lost.
        """
        location, seen = self._repository.location, set[tuple[str, ...]]()

        def is_new(*problem: str) -> bool:
            seen.add(problem)
            return problem not in self._reported

        new = [one for one in aside if is_new(one.name[:200], one.problem)]
        for number, one in enumerate(new[: _MAX_LINES + 1]):
            event = "document_refused" if one.refused else "document_set_aside"
            name, problem, hint = one.name, one.problem, one.hint
            if number == _MAX_LINES:
                name, hint, problem = (
                    "",
                    "",
                    f"{len(new) - number} more documents are not used; `dpm keys list` shows them",
                )
            emit(event, "error", hint=hint, document=name, problem=problem, location=location)
        broken = [key for key in keys if key.problem and key.revocation is None and is_new(str(key.id), key.problem)]
        for number, key in enumerate(broken[: _MAX_LINES + 1]):
            problem = (
                key.problem if number < _MAX_LINES else f"{len(broken) - number} keys cannot be used, this one too"
            )
            emit("key_unusable", "error", hint=key.hint, key_id=key.id, problem=problem, location=location)
        for things, ids in (
            ("keys", [str(key.id) for key in lost]),
            ("revocations", [str(one.key_id or "*") for one in withdrawn]),
        ):
            missing = ", ".join(ids[:5]) + (" …" if len(ids) > 5 else "")
            if missing and is_new(things, missing):
                emit("ring_shrank", "error", f"the store has lost {things}", missing=missing, location=location)
        self._reported = seen


def _cannot_be_read(refusal: _Refusal) -> str:
    return f"{printable(refusal.aside.name)} cannot be read"


def _one_of_each(keys: Iterable[Key]) -> dict[UUID, Key]:
    """Keys by id. Of copies of a key a usable one is used, if there is any. Different keys with one id are unusable."""
    found: dict[UUID, Key] = {}
    for key in keys:
        other = found.get(key.id)
        if other is None:
            found[key.id] = key
        elif other.problem == _TWO_KEYS:
            continue
        elif _dates(other) != _dates(key) or not _same_encryptor(other, key):
            found[key.id] = replace(other, encryptor=None, problem=_TWO_KEYS, hint="")
        elif not other.usable:
            found[key.id] = key
    return found


def _dates(key: Key) -> tuple[Instant, Instant, Instant]:
    return key.creation_date, key.activation_date, key.expiration_date


def _same_encryptor(one: Key, other: Key) -> bool:
    return one.encryptor is None or other.encryptor is None or one.encryptor.same_as(other.encryptor)
