"""Reads the signed session cookies of Flask, Starlette and Django, so that a migration does not sign users out.

    Flask      itsdangerous: base64url(tagged JSON, "." and zlib if shorter) . time . HMAC-SHA1, salt cookie-session
    Starlette  itsdangerous: base64(JSON) . time . HMAC-SHA1, salt itsdangerous.Signer
    Django     base64url(JSON, "." and zlib if shorter) : base62 time : HMAC-SHA256, signed_cookies backend

The old time stamp is checked, and the new session ends when the old one would have ended (`OldSession.ends`). Only JSON
is read: a pickled session is refused. `old_sessions` says what is common to all migrations.

If the old secret may have leaked, do not migrate: an attacker who has it can sign any session.

`DjangoSessions` also reads the sessions that Django kept on the server (`django_stores`).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import string
import zlib
from abc import abstractmethod
from base64 import b64decode, b64encode, urlsafe_b64decode
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, ClassVar, Final, NoReturn

from itsdangerous import BadData, BadSignature, TimestampSigner, URLSafeTimedSerializer

from dpmiddleware.arguments import checked
from dpmiddleware.errors import ConfigurationError
from dpmiddleware.extras import import_extra
from dpmiddleware.protection import base64url
from dpmiddleware.web.sessions.django_stores import DjangoStore, StoreName
from dpmiddleware.web.sessions.old_sessions import OldSession, OldSessions, RefusedError
from dpmiddleware.web.sessions.stored import ID

__all__ = ["DjangoSessions", "FlaskSessions", "OldSession", "OldSessions", "SignedSessions", "StarletteSessions"]

_MAX_SIZE: Final = 8192
_MAX_PLAIN: Final = 1 << 20
_SHORTEST_SECRET: Final = 16
_BASE62: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase


@checked
class SignedSessions(OldSessions):
    """Session cookies of one framework, signed with its old secret. `ConfigurationError` for dangerous settings.

    secret_key: the secret in the framework's settings.
    until: when old cookies are no longer accepted; aware.
    max_age: the framework's maximum age of a session cookie.
    fallbacks: the fallback secrets in the framework's settings, in any order.
    writes_old: whether sessions are written in the old format.
    now: the current time, for tests.
    """

    _needs_sha1: ClassVar = True
    """Whether its cookies are signed with HMAC-SHA1, which a machine in FIPS mode may not have."""

    def __init__(
        self,
        secret_key: str | bytes,
        *,
        until: datetime,
        max_age: timedelta | None = None,
        fallbacks: Sequence[str | bytes] = (),
        writes_old: bool = False,
        now: datetime | None = None,
    ) -> None:
        self._secrets = _checked_secrets(secret_key, fallbacks)
        if self._needs_sha1:
            _try_sha1(self.framework)
        super().__init__(until=until, max_age=max_age, writes_old=writes_old, now=now)

    def _loads(self, value: str, now: datetime) -> OldSession:
        if len(value) > _MAX_SIZE or not value.isascii():
            raise RefusedError("malformed")
        data, issued = self._unsign(value)
        if not timedelta() <= now - issued <= self.max_age:
            raise RefusedError("expired")
        if not isinstance(data, dict):
            raise RefusedError("malformed")
        return OldSession(data, issued, issued + self.max_age)

    @abstractmethod
    def _unsign(self, value: str) -> tuple[Any, datetime]:
        """Return the signed data and when it was signed. `RefusedError` if the signature or the JSON is wrong."""


class FlaskSessions(SignedSessions):
    """Cookies of Flask's own session interface. max_age: ``PERMANENT_SESSION_LIFETIME``."""

    framework = "flask"
    default_max_age = timedelta(days=31)

    def _unsign(self, value: str) -> tuple[Any, datetime]:
        try:
            data, issued = self._serializer(None).loads(value, return_timestamp=True)
        except BadSignature:
            raise RefusedError("signature") from None
        except (BadData, ValueError, RecursionError, zlib.error):
            raise RefusedError("not_json") from None
        return data, issued

    def dumps(self, data: Mapping[str, Any], now: datetime, *, is_new: bool = True) -> str:
        """Write tagged JSON with Flask's signature."""
        return str(self._serializer(now).dumps(dict(data)))

    def _serializer(self, now: datetime | None) -> URLSafeTimedSerializer:
        tags = import_extra("flask.json.tag", "flask", "reading Flask's sessions")
        options = {"key_derivation": "hmac", "digest_method": hashlib.sha1, "now": now}
        return URLSafeTimedSerializer(
            self._secrets,
            salt="cookie-session",
            serializer=tags.TaggedJSONSerializer(),
            signer=_SignerAt,
            signer_kwargs=options,
        )


class StarletteSessions(SignedSessions):
    """Cookies of Starlette's ``SessionMiddleware``. max_age: its ``max_age``."""

    framework = "starlette"

    def _unsign(self, value: str) -> tuple[Any, datetime]:
        try:
            signed, issued = TimestampSigner(self._secrets).unsign(value, return_timestamp=True)
        except BadData:
            raise RefusedError("signature") from None
        return _json(lambda: b64decode(signed, validate=True)), issued

    def dumps(self, data: Mapping[str, Any], now: datetime, *, is_new: bool = True) -> str:
        """Write base64 of JSON with Starlette's signature."""
        return _SignerAt(self._secrets, now=now).sign(b64encode(json.dumps(dict(data)).encode())).decode()


@checked
class DjangoSessions(SignedSessions):
    """Sessions of Django: cookies of its ``signed_cookies`` engine with its ``JSONSerializer``, or those of ``store``.

    secret_key: ``SECRET_KEY``, for signed cookies only.
    store: the engine that kept the sessions on the server, without ``secret_key``.
    max_age: ``SESSION_COOKIE_AGE``.

    The other arguments are those of `SignedSessions`. A session of a store has no end of its own, because nobody could
    have forged it.
    """

    framework = "django"
    _needs_sha1 = False
    _salt: ClassVar[str] = "django.contrib.sessions.backends.signed_cookies"

    def __init__(
        self,
        secret_key: str | bytes | None = None,
        *,
        store: StoreName | None = None,
        until: datetime,
        max_age: timedelta | None = None,
        fallbacks: Sequence[str | bytes] = (),
        writes_old: bool = False,
        now: datetime | None = None,
    ) -> None:
        self.store = None if store is None else DjangoStore(store)
        if self.store is not None and secret_key is None and not fallbacks:
            self.most, self.on_server = 4, True  # each is a question to the store
            OldSessions.__init__(self, until=until, max_age=max_age, writes_old=writes_old, now=now)
        elif secret_key is None or self.store is not None:
            raise ConfigurationError(
                "DjangoSessions takes text or bytes as secret_key, or else a store",
                hint='write DjangoSessions(SECRET_KEY, until=…) or DjangoSessions(store="db", until=…)',
            )
        else:
            super().__init__(
                secret_key, until=until, max_age=max_age, fallbacks=fallbacks, writes_old=writes_old, now=now
            )

    def _loads(self, value: str, now: datetime) -> OldSession:
        if self.store is None:
            return super()._loads(value, now)
        found = self.store.read(value)
        if found is None:
            raise RefusedError("not_in_store")
        return OldSession({**found, ID: value}, now, None)

    def forget(self, session_id: str) -> None:
        """Delete a session in the store, as Django does when it is ended or renewed."""
        if self.store is not None:
            self.store.delete(session_id)

    def _unsign(self, value: str) -> tuple[Any, datetime]:
        signed, _, signature = value.rpartition(":")
        if not any(hmac.compare_digest(signature, self._signature(signed, secret)) for secret in self._secrets):
            raise RefusedError("signature")
        payload, _, stamp = signed.rpartition(":")
        compressed = payload.startswith(".")
        text = payload[compressed:]
        data = _json(lambda: _inflate(_unbase64(text)) if compressed else _unbase64(text))
        return data, datetime.fromtimestamp(_base62(stamp), timezone.utc)

    def dumps(self, data: Mapping[str, Any], now: datetime, *, is_new: bool = True) -> str:
        """Write base64url of JSON, compressed if that is shorter, with Django's signature; or into the store."""
        if self.store is not None:
            self.store.write(data[ID], data, is_new=is_new)
            return str(data[ID])
        plain = json.dumps(dict(data), separators=(",", ":")).encode("latin-1")
        compressed = zlib.compress(plain)
        shorter = len(compressed) < len(plain) - 1
        text = "." + base64url.encode(compressed) if shorter else base64url.encode(plain)
        signed = f"{text}:{_to_base62(int(now.timestamp()))}"
        return f"{signed}:{self._signature(signed, self._secrets[-1])}"

    def _signature(self, signed: str, secret: bytes) -> str:
        key = hashlib.sha256(self._salt.encode() + b"signer" + secret).digest()
        return base64url.encode(hmac.digest(key, signed.encode(), "sha256"))


class _SignerAt(TimestampSigner):
    """Signs with a given time."""

    def __init__(self, *arguments: Any, now: datetime | None, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._now = now

    def get_timestamp(self) -> int:
        return super().get_timestamp() if self._now is None else int(self._now.timestamp())


def _try_sha1(framework: str) -> None:
    """`ConfigurationError` if every old cookie would be refused here, which would sign all users out."""
    try:
        hashlib.sha1(b"tried out").digest()  # noqa: S324 (theirs, and as they call it)
    except (ValueError, AttributeError):
        raise ConfigurationError(
            f"this machine has no SHA-1, with which {framework.title()} signs its sessions",
            hint="migrate on one that has it, or leave out migration=: then users sign in again",
        ) from None


def _checked_secrets(secret_key: str | bytes, fallbacks: Sequence[str | bytes]) -> list[bytes]:
    """Return all secrets, with the current one last, as itsdangerous expects."""
    secrets = [each.encode() if isinstance(each, str) else each for each in (*fallbacks, secret_key)]
    if len(set(secrets)) < len(secrets):
        raise ConfigurationError("an old secret is given twice", hint="pass only earlier secrets in fallbacks=")
    if any(len(secret) < _SHORTEST_SECRET for secret in secrets):
        raise ConfigurationError(
            f"an old secret has fewer than {_SHORTEST_SECRET} bytes, so an attacker can guess it and forge sessions",
            hint="do not migrate these sessions; let users sign in again",
        )
    return secrets


def _json(plain: Callable[[], bytes]) -> Any:
    """Read JSON from the bytes that ``plain`` returns. `RefusedError` if it fails."""
    try:
        return json.loads(plain().decode("utf-8"), parse_constant=_not_json)
    except (ValueError, RecursionError, zlib.error):
        raise RefusedError("not_json") from None


def _not_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _inflate(data: bytes) -> bytes:
    inflating = zlib.decompressobj()
    plain = inflating.decompress(data, _MAX_PLAIN)
    if inflating.unconsumed_tail:
        raise ValueError("more than 1 MiB")
    return plain


def _unbase64(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _base62(text: str) -> int:
    """Read Django's base 62. The text was signed, so only an owner of the secret can have written it wrongly."""
    if not text or len(text) > 6 or not text.isalnum():
        raise RefusedError("malformed")
    number = 0
    for digit in text:
        number = number * 62 + _BASE62.index(digit)
    return number


def _to_base62(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 62)
        digits = _BASE62[digit] + digits
    return digits or "0"
