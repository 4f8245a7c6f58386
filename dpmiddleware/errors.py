"""All errors that this package raises, as one tree. Its three branches say who has to act.

===================  ==========================================================================================
ConfigurationError   The developer: the program asks for something impossible or dangerous.
KeyManagementError   The operator: the key ring cannot be read, trusted, or used. A retry may help.
UnprotectError       Nobody: a payload is refused. Treat it as absent, and tell the client nothing about the cause.
===================  ==========================================================================================

Catch one of these three, or `DataProtectionError` for all of them. What is raised is usually a more specific class.

Every error has a ``code`` for programs, which is part of the public interface and does not change, and a ``hint``
for people, which says what to do and may be empty. The hint is also a note of the exception, so tracebacks, logs, error
pages and error reporters show it below the message. No message and no hint contains key bytes, passwords, or the
content of a payload. Text from a store or a client is made printable first (`dpmiddleware.printable`).
docs/troubleshooting.md explains every code.
"""

from __future__ import annotations

from typing import Any, ClassVar

__all__ = [
    "ConfigurationError",
    "CookieTooLargeError",
    "DataProtectionError",
    "DocumentSignatureError",
    "ExpiredPayloadError",
    "KeyManagementError",
    "KeyUnwrapError",
    "MalformedDocumentError",
    "MalformedPayloadError",
    "MissingExtraError",
    "NoUsableKeyError",
    "RepositoryError",
    "RevokedKeyError",
    "TamperedPayloadError",
    "UnknownKeyError",
    "UnprotectError",
    "UnsupportedAlgorithmError",
    "UnusableKeyError",
    "VersionConflict",
]


class DataProtectionError(Exception):
    """The base class of all errors of this package.

    ``str(error)`` says what happened, ``error.hint`` what to do about it, and ``error.code`` names the case.
    """

    code: ClassVar[str] = "error"
    hint: str = ""
    _added_notes: tuple[str, ...] = ()

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        if hint:
            self.hint = hint

    @property
    def __notes__(self) -> list[str]:
        """The hint, then what `add_note` has added: what is shown below the message.

        Computed when it is shown, because refusing a forgery has to be cheap. The hint is left out if the error before
        this one in the traceback has the same.
        """
        before = self.__cause__ or (None if self.__suppress_context__ else self.__context__)
        is_repeated = isinstance(before, DataProtectionError) and before.hint == self.hint
        return [*([self.hint] if self.hint and not is_repeated else ()), *self._added_notes]

    @__notes__.setter
    def __notes__(self, notes: list[str]) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        self._added_notes = tuple(note for note in notes if note != self.hint)

    def add_note(self, note: str, /) -> None:
        """As for every exception: add text that is shown below the message and the hint."""
        if not isinstance(note, str):
            raise TypeError(f"note must be a str, not {type(note).__name__!r}")  # as `BaseException.add_note`
        if note != self.hint:
            self._added_notes = (*self._added_notes, note)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and pickles do not call the constructor, whose parameters differ from class to class."""
        return _restored, (type(self), self.args, self.__dict__)


def _restored(kind: type[DataProtectionError], args: tuple[object, ...], state: dict[str, Any]) -> DataProtectionError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


# --- the developer must act ---------------------------------------------------------------------------------


class ConfigurationError(DataProtectionError):
    """The program or its settings ask for something that is impossible or dangerous."""

    code = "configuration"


class WrongTypeError(ConfigurationError, TypeError):
    """A value has a type that is not possible here. Like Python's own error for this, it is a ``TypeError``."""


class MissingExtraError(ConfigurationError, ImportError):
    """A library that an optional part of this package needs is not installed. The hint names the extra to install."""

    code = "missing_extra"

    def __init__(self, extra: str, needed_for: str) -> None:
        super().__init__(
            f"{needed_for} needs a library that is not installed",
            hint=f"install it: pip install 'dpmiddleware[{extra}]'",
        )
        self.extra = extra


class UnsupportedAlgorithmError(ConfigurationError):
    """An algorithm that neither this package nor the installed version of ``cryptography`` supports."""

    code = "unsupported_algorithm"
    hint = "create keys with an algorithm of dpmiddleware.Algorithm in all members; this key cannot be used here"


class CookieTooLargeError(ConfigurationError):
    """A cookie is larger than browsers and servers transport. Raised when it is written, before any data is lost."""

    code = "cookie_too_large"


# --- the operator must act ----------------------------------------------------------------------------------


class KeyManagementError(DataProtectionError):
    """The key ring is unavailable or damaged. A retry may help. The cause is never something that a client sent."""

    code = "key_management"


class RepositoryError(KeyManagementError):
    """The store of the keys cannot be reached, or cannot be read or written completely."""

    code = "repository"


class VersionConflict(RepositoryError):  # noqa: N818 (part of normal operation: the caller reads again and retries)
    """Another process changed the store between reading and `KeyRepository.commit`. Nothing was written."""

    code = "version_conflict"


class MalformedDocumentError(KeyManagementError):
    """A stored key or revocation cannot be understood: it is not XML, is too large, has an unreadable date, …"""

    code = "malformed_document"


class DocumentSignatureError(KeyManagementError):
    """A stored key or revocation has no valid signature of a trusted signer for this ring.

    ``reason`` is one of

    - ``unsigned``: there is no signature,
    - ``malformed_signature``: there is one, but it cannot be read,
    - ``unknown_signer``: the signer is not trusted here,
    - ``bad_signature``: the signature does not match the document,
    - ``wrong_ring``: the document was signed for another ring,
    - ``not_signed``: the signer of this ring could not sign.
    """

    code = "document_signature"

    def __init__(self, message: str, *, reason: str = "unsigned", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


class KeyUnwrapError(KeyManagementError):
    """A stored key cannot be decrypted with the configured certificates, secrets, or key management services."""

    code = "key_unwrap"


class NoUsableKeyError(KeyManagementError):
    """The ring has no key to protect with, and none may be created."""

    code = "no_usable_key"


# --- nobody must act: the payload is refused -----------------------------------------------------------------


class UnprotectError(DataProtectionError):
    """A payload is refused. The subclasses distinguish the causes, for logs and metrics only.

    key_id: the id of the payload's key, as text or as 16 raw bytes in the byte order of .NET.
    """

    code = "unprotect"

    hint = "treat the payload as absent"

    def __init__(self, message: str, *, key_id: str | bytes | None = None, hint: str = "") -> None:
        # Skips the parents' constructors (BaseException.__new__ keeps the message): refusing a forgery has to be cheap.
        self._key_id = key_id
        if hint:
            self.hint = hint

    @property
    def key_id(self) -> str | None:
        """The id of the payload's key as text; ``None`` if the payload does not contain one."""
        if not isinstance(self._key_id, bytes):
            return self._key_id
        from uuid import UUID  # not with the package: it is a third of the time that importing that takes

        return str(UUID(bytes_le=self._key_id))

    @key_id.setter
    def key_id(self, key_id: str | None) -> None:
        self._key_id = key_id

    def __str__(self) -> str:
        """The message, and the key that it is about."""
        message, key_id = super().__str__(), self.key_id
        return message if key_id is None or key_id in message else f"{message} (key {key_id})"


class MalformedPayloadError(UnprotectError):
    """The data is not a payload: it is too short, has no magic number, or is not base64url or UTF-8 text."""

    code = "malformed"
    hint = "pass what protect() returned, unchanged: text as text, bytes as bytes"


class UnknownKeyError(UnprotectError):
    """The payload's key is not in the ring. Another ring may have it, or this ring may get it at the next refresh."""

    code = "unknown_key"
    hint = "check that all processes have the same repository=; `dpm inspect` and `dpm keys list` show the keys"


class UnusableKeyError(UnprotectError):
    """The payload's key is in the ring but could not be unwrapped."""

    code = "unusable_key"
    hint = "run `dpm keys list`: it shows why the key cannot be unwrapped"


class RevokedKeyError(UnprotectError):
    """The payload's key has been revoked."""

    code = "revoked_key"
    hint = "treat the payload as absent; dangerous_unprotect() reads data that must not be lost"


class TamperedPayloadError(UnprotectError):
    """The payload was changed, or was made for another purpose or application. These cases cannot be told apart."""

    code = "tampered"
    hint = "check that both sides have the same application name and purposes; else treat the payload as absent"


class ExpiredPayloadError(UnprotectError):
    """The time limit inside the payload has passed. ``expired_at`` says when: ISO 8601, UTC."""

    code = "expired"
    hint = "treat the payload as absent, or protect the data again"

    def __init__(self, message: str, *, expired_at: str, key_id: str | None = None) -> None:
        super().__init__(message, key_id=key_id)
        self.expired_at = expired_at
