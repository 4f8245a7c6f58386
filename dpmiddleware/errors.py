"""Every error this package raises, as one tree sorted by who must act.

``ConfigurationError`` is for the developer, ``KeyManagementError`` for the operator, ``UnprotectError`` for
nobody: the payload is refused and the client learns no more than that. The three roots are caught, never raised.

Each error has a ``code`` for machines (stable: part of the public interface) and a ``hint`` for people (what to
do, may be empty). No message holds payload or key bytes; text from a store or a client goes through
`dpmiddleware.printable` first.
"""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

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
    """Root of the tree. ``str(error)`` says what happened, ``error.hint`` what to do, ``error.code`` names the case."""

    code: ClassVar[str] = "error"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


# --- the developer must act ---------------------------------------------------------------------------------


class ConfigurationError(DataProtectionError):
    """The program asks for something that cannot be or that would be dangerous."""

    code = "configuration"


class MissingExtraError(ConfigurationError, ImportError):
    """A library that only one adapter needs is not installed; the hint names the extra."""

    code = "missing_extra"

    def __init__(self, extra: str, needed_for: str) -> None:
        super().__init__(
            f"{needed_for} needs a library that is not installed",
            hint=f"pip install 'dpmiddleware[{extra}]'",
        )
        self.extra = extra


class UnsupportedAlgorithmError(ConfigurationError):
    """An algorithm that this package, or the ``cryptography`` under it, does not have."""

    code = "unsupported_algorithm"


class CookieTooLargeError(ConfigurationError):
    """More in a cookie than a browser or a server in between would carry; raised when it is written, not lost later."""

    code = "cookie_too_large"


# --- the operator must act ----------------------------------------------------------------------------------


class KeyManagementError(DataProtectionError):
    """The key ring is not what it should be; a retry may help. Never means that a client did something wrong."""

    code = "key_management"


class RepositoryError(KeyManagementError):
    """The store cannot be reached, or cannot be read or written whole."""

    code = "repository"


class VersionConflict(RepositoryError):  # noqa: N818 (a race that was lost, handled by reading again, not a fault)
    """`KeyRepository.commit` found the store at another version than the one expected; nothing was written."""

    code = "version_conflict"


class MalformedDocumentError(KeyManagementError):
    """A stored document is not what it should be: no XML, too large, a date that cannot be read …"""

    code = "malformed_document"


class DocumentSignatureError(KeyManagementError):
    """A stored document is not signed by anybody who is trusted here, or is signed for another ring.

    ``reason``: ``unsigned``, ``malformed_signature``, ``unknown_signer``, ``bad_signature``, ``wrong_ring``;
    ``not_wrapped`` for a key in clear where keys are wrapped; ``not_signed`` where a signer could not sign.
    """

    code = "document_signature"

    def __init__(self, message: str, *, reason: str = "unsigned", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


class KeyUnwrapError(KeyManagementError):
    """A key is there, and what it is wrapped with (certificate, secret, KMS) would not open it."""

    code = "key_unwrap"


class NoUsableKeyError(KeyManagementError):
    """There is no key to protect with, and none may be made."""

    code = "no_usable_key"


# --- nobody must act: refuse the payload --------------------------------------------------------------------


class UnprotectError(DataProtectionError):
    """A payload that is not opened. ``key_id``: the id that it names, as text or as its 16 raw bytes."""

    code = "unprotect"

    hint = ""

    def __init__(self, message: str, key_id: str | bytes | None = None, *, hint: str = "") -> None:
        # not through the parents (BaseException.__new__ keeps the message): a forged payload has to be cheap to refuse
        self._key_id = key_id
        if hint:
            self.hint = hint

    @property
    def key_id(self) -> str | None:
        """The key's id as text; ``None`` where the payload names none. Written out when asked: refusals are cheap."""
        return str(UUID(bytes_le=self._key_id)) if isinstance(self._key_id, bytes) else self._key_id

    @key_id.setter
    def key_id(self, key_id: str | None) -> None:
        self._key_id = key_id


class MalformedPayloadError(UnprotectError):
    """Not a payload at all: wrong magic, too short, not base64url, not UTF-8."""

    code = "malformed"


class UnknownKeyError(UnprotectError):
    """The payload's key is not in this ring. Another ring, or this one a little later, may have it."""

    code = "unknown_key"


class UnusableKeyError(UnprotectError):
    """The payload's key is in the ring and could not be unwrapped."""

    code = "unusable_key"


class RevokedKeyError(UnprotectError):
    """The payload's key has been revoked."""

    code = "revoked_key"


class TamperedPayloadError(UnprotectError):
    """Changed bytes, another purpose, another application: on purpose one case."""

    code = "tampered"


class ExpiredPayloadError(UnprotectError):
    """The time limit inside the payload is past. ``expired_at``: ISO 8601, UTC."""

    code = "expired"

    def __init__(self, message: str, *, expired_at: str, key_id: str | None = None) -> None:
        super().__init__(message, key_id=key_id)
        self.expired_at = expired_at
