"""The key walk: from the documents of a store to keys that may be used.

`KeyReader.read` walks over a store, `KeyReader._admit` over one document, a line a stage. What was admitted is
remembered by the digest of its bytes, so a refresh parses, verifies and unwraps what is new and no more; a key that
could not be unwrapped is tried again.
"""

from __future__ import annotations

import hashlib
import itertools
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
from dpmiddleware.instants import Instant
from dpmiddleware.keys.document import (
    KeyDocument,
    RevocationDocument,
    is_wrapped,
    load,
    may_be_key,
    may_be_revocation,
    secret_of,
)
from dpmiddleware.keys.interfaces import DocumentVerifier, KeyRepository, KeyWrapper, Snapshot, StoredDocument
from dpmiddleware.keys.key import Key, Revocation, apply_revocations
from dpmiddleware.keys.xml import SIGNATURE
from dpmiddleware.telemetry import emit

__all__ = ["KeyReader", "Reading", "SetAside"]


@dataclass(frozen=True, slots=True)
class SetAside:
    """A document that is not used, and why. ``refused``: nobody trusted vouches for it; else it could not be read."""

    stored: StoredDocument
    problem: str
    refused: bool = False

    @property
    def name(self) -> str:
        """What to call it: its stored name, else its place in the store."""
        return self.stored.name or self.stored.locator or "(a document without a name)"


@dataclass(frozen=True, slots=True)
class Reading:
    """What one walk over the store gave.

    keys: with their revocations applied, and those that this process knew and the store has lost.
    revocations: all that hold. set_aside: what is not used. signed: whether an admitted document carries a signature.
    lost: keys that this process has read before and that are gone, without having been revoked.
    documents: the documents that are used, and what each says (keys without revocations applied).
    lost_revocation, unreadable: what could not be read and may be a revocation, may be a key; "" if there is no such.
    """

    version: str
    keys: tuple[Key, ...]
    revocations: tuple[Revocation, ...]
    set_aside: tuple[SetAside, ...] = ()
    signed: bool = False
    lost: tuple[Key, ...] = ()
    lost_revocation: str = ""
    unreadable: str = ""
    documents: tuple[tuple[StoredDocument, Key | Revocation], ...] = ()

    @property
    def refused(self) -> tuple[SetAside, ...]:
        """The documents that nobody trusted vouches for."""
        return tuple(aside for aside in self.set_aside if aside.refused)

    def with_free_names(
        self, add: Iterable[StoredDocument], remove: Iterable[StoredDocument] = ()
    ) -> list[StoredDocument]:
        """``add``, a number behind each name that is taken: a second revocation of a key has the name of the first,
        which may be one that is refused or cannot be read. Names of documents to ``remove`` are free.
        """
        gone = {document.locator for document in remove}
        stored = [one for one, _ in self.documents] + [aside.stored for aside in self.set_aside]
        taken = {one.name for one in stored if one.locator not in gone}
        named: list[StoredDocument] = []
        for document in add:
            numbered = (f"{document.name}-{number}" for number in itertools.count(2))
            name = document.name if document.name not in taken else next(name for name in numbered if name not in taken)
            taken.add(name)
            named.append(StoredDocument(name, document.data))
        return named


_Pairs = list[tuple[StoredDocument, Key | Revocation]]
_TWO_KEYS: Final = "two different keys have this id"


class KeyReader:
    """Walks over one store. See `dpmiddleware.keys.manager.KeyManager` for the arguments."""

    def __init__(
        self,
        repository: KeyRepository,
        ring: str,
        wrappers: Sequence[KeyWrapper],
        *,
        allow_plain: bool,
        verifier: DocumentVerifier | None,
    ) -> None:
        self._repository = repository
        self._ring = ring
        self._wrappers = tuple(wrappers)
        self._allow_plain = allow_plain
        self._verifier = verifier
        self._known: dict[bytes, Key | Revocation] = {}
        self._signed: set[bytes] = set()
        self._keys: dict[UUID, Key] = {}
        self._revocations: dict[Revocation, None] = {}
        self._reported: set[tuple[str, str]] = set()
        self.forget_threads()

    def forget_threads(self) -> None:
        """In the child of a fork a lock may be held by nobody."""
        self._one_at_a_time = threading.Lock()

    @property
    def revocations(self) -> tuple[Revocation, ...]:
        """All that were read so far; they hold until the process ends."""
        return tuple(self._revocations)

    def read(self) -> Reading:
        """The key walk. `RepositoryError` where the store cannot be read; a single bad document stops nothing here.

        A revocation once read holds until the process ends. A key that cannot be unwrapped is kept, unusable.
        """
        with self._one_at_a_time:  # an older snapshot must not look like a loss to one who has seen a newer one
            return self._walk(self._repository.read())

    def _walk(self, snapshot: Snapshot) -> Reading:
        pairs, aside = self._admit_all(snapshot.documents)
        self._revocations.update(dict.fromkeys(item for _, item in pairs if isinstance(item, Revocation)))
        found = _one_of_each(item for _, item in pairs if isinstance(item, Key))
        for key in [key for key in found.values() if not key.usable]:
            found[key.id] = self._still_open(key)
        keys = apply_revocations(self._with_lost(found), tuple(self._revocations))
        lost = tuple(key for key in keys[len(found) :] if key.revocation is None)
        self._keys = {key.id: key for key in keys}
        self._report(aside, keys, lost)
        unread = [a.stored for a in aside if not a.refused] if self._verifier is None else []
        return Reading(
            snapshot.version,
            keys,
            tuple(self._revocations),
            tuple(aside),
            bool(self._signed),
            lost,
            _first(unread, may_be_revocation),
            _first(unread, may_be_key),
            tuple(pairs),
        )

    def _admit_all(self, stored: Iterable[StoredDocument]) -> tuple[_Pairs, list[SetAside]]:
        """Every document admitted or set aside; what is remembered are the admitted ones of this walk."""
        known: dict[bytes, Key | Revocation] = {}
        signed: set[bytes] = set()
        pairs: _Pairs = []
        aside: list[SetAside] = []
        for one in stored:
            digest = hashlib.sha256(one.data).digest()
            try:
                item, is_signed = self._recall(digest) or self._admit(one)
            except MalformedDocumentError as error:
                aside.append(SetAside(one, str(error)))
            except DocumentSignatureError as error:
                aside.append(SetAside(one, str(error), refused=True))
            else:
                pairs.append((one, item))
                if is_signed:
                    signed.add(digest)
                if isinstance(item, Revocation) or item.usable:
                    known[digest] = item
        self._known, self._signed = known, signed
        return pairs, aside

    def _recall(self, digest: bytes) -> tuple[Key | Revocation, bool] | None:
        """What the last walk admitted with these bytes, and whether it is signed."""
        item = self._known.get(digest)
        return None if item is None else (item, digest in self._signed)

    def _admit(self, stored: StoredDocument) -> tuple[Key | Revocation, bool]:
        """One document: load, verify, unwrap; and whether it carries a signature.

        `MalformedDocumentError`, `DocumentSignatureError`: it is set aside.
        """
        document = load(stored)
        self._verify(document)
        signed = document.element.find(SIGNATURE) is not None
        if isinstance(document, RevocationDocument):
            return Revocation.of(document), signed
        return self._unwrap(document), signed

    def _verify(self, document: KeyDocument | RevocationDocument) -> None:
        """Before anything is unwrapped: what an intruder plants never reaches a private key or a KMS."""
        if self._verifier is not None:
            self._verifier.verify(document.element)
        if isinstance(document, KeyDocument) and not self._allow_plain and not is_wrapped(document):
            raise DocumentSignatureError(
                "the key is not wrapped, although keys here are",
                reason="not_wrapped",
                hint='add "plain:" to key_wrapper= to read it',
            )

    def _unwrap(self, document: KeyDocument) -> Key:
        problem, encryptor = "", None
        try:
            suite, secret = secret_of(document, self._wrappers, self._ring)
            encryptor = AuthenticatedEncryptor(secret, suite)
        except (KeyUnwrapError, MalformedDocumentError, UnsupportedAlgorithmError) as error:
            problem = str(error) or error.code
        dates = document.creation_date, document.activation_date, document.expiration_date
        return Key(document.id, *dates, encryptor, problem, wrapped=is_wrapped(document))

    def _still_open(self, key: Key) -> Key:
        """A key that is unusable now and that this process has opened stays open, with its problem, where it has been
        wrapped anew and the new wrapping does not open here (yet): nobody is logged out for that.
        """
        known = self._keys.get(key.id)
        if key.problem == _TWO_KEYS or known is None or _dates(known) != _dates(key):
            return key
        return replace(key, encryptor=known.encryptor)

    def _with_lost(self, found: dict[UUID, Key]) -> list[Key]:
        """The keys found, and those known from before: a store that forgets does not log anybody out."""
        return [*found.values(), *(key for name, key in self._keys.items() if name not in found)]

    def _report(self, aside: Sequence[SetAside], keys: Sequence[Key], lost: Sequence[Key]) -> None:
        """Say each thing once, and again if it went away in between."""
        location = self._repository.location
        seen: set[tuple[str, str]] = set()
        for one in aside:
            seen.add((one.name, one.problem))
            if (one.name, one.problem) not in self._reported:
                event = "document_refused" if one.refused else "document_set_aside"
                emit(event, "error", document=one.name, problem=one.problem, location=location)
        for key in keys:
            if key.problem and key.revocation is None:
                seen.add((str(key.id), key.problem))
                if (str(key.id), key.problem) not in self._reported:
                    emit("key_unusable", "error", key_id=key.id, problem=key.problem, location=location)
        missing = ", ".join(str(key.id) for key in lost[:5]) + (" …" if len(lost) > 5 else "")
        if lost:
            seen.add(("", missing))
            if ("", missing) not in self._reported:
                emit("ring_shrank", "error", "the store has lost keys", missing=missing, location=location)
        self._reported = seen


def _first(stored: Iterable[StoredDocument], test: Callable[[StoredDocument], bool]) -> str:
    """The name of the first document that passes ``test``, or ""."""
    return next((f"{SetAside(one, '').name} cannot be read" for one in stored if test(one)), "")


def _one_of_each(keys: Iterable[Key]) -> dict[UUID, Key]:
    """Keys by id, in whatever order they come. Copies count once, and as usable where one of them is; different keys
    of one id are unusable, all of them.
    """
    found: dict[UUID, Key] = {}
    for key in keys:
        other = found.get(key.id)
        if other is None:
            found[key.id] = key
        elif other.problem == _TWO_KEYS:
            continue
        elif _dates(other) != _dates(key) or not _same_encryptor(other, key):
            found[key.id] = replace(other, encryptor=None, problem=_TWO_KEYS)
        elif not other.usable:
            found[key.id] = key
    return found


def _dates(key: Key) -> tuple[Instant, Instant, Instant]:
    return key.creation_date, key.activation_date, key.expiration_date


def _same_encryptor(one: Key, other: Key) -> bool:
    return one.encryptor is None or other.encryptor is None or one.encryptor.same_as(other.encryptor)
