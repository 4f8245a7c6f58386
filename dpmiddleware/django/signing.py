"""Django's signed values, protected by the key ring: encrypted, authenticated, under keys that rotate. ::

    SIGNING_BACKEND = "dpmiddleware.django.signing.ProtectedSigner"    # signed cookies, cookie messages

    text     := base64url of a payload; inside: BE64 ticks when made ‖ UTF-8
    purposes := "dpmiddleware.DjangoSigner.v1", salt                 without a key, or with SECRET_KEY
              | "dpmiddleware.DjangoSigner.v2", domain, salt         signed cookies: domain "django.http.cookies"

`dumps` and `loads` have the signatures of those in ``django.core.signing``, which ignore the setting. SECRET_KEY is not
used. They refuse a ``key``, because values are separated by their salt here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import timedelta
from functools import lru_cache, partial
from hashlib import sha256
from types import SimpleNamespace
from typing import Any, cast

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signing import BadSignature, JSONSerializer, SignatureExpired, TimestampSigner
from django.utils.encoding import force_bytes

from dpmiddleware import purposes
from dpmiddleware.arguments import explain, seconds
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.django.apps import get_data_protection
from dpmiddleware.errors import ConfigurationError, UnprotectError
from dpmiddleware.instants import TICKS_PER_SECOND, ticks_of
from dpmiddleware.protection.stamped import SKEW_SECONDS, StampedProtector
from dpmiddleware.serialization import serialize

__all__ = ["ProtectedSigner", "dumps", "loads"]


@lru_cache(maxsize=32)
def _protector(protection: DataProtection, domain: str) -> StampedProtector:
    return StampedProtector(protection, partial(purposes.django_signer, domain=domain), "signer")


def _domain(key: str | bytes | None) -> str:
    """What a key says about the use of values: the text that Django puts before SECRET_KEY; of other keys, a digest.

    It stays the same when SECRET_KEY changes.
    """
    given = force_bytes(key or b"")
    try:
        secrets = map(force_bytes, (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)) if given else ()
        secret = max(filter(given.endswith, secrets), key=len, default=b"")
    except ImproperlyConfigured:  # there is no SECRET_KEY
        secret = b""
    if secret:
        return given.removesuffix(secret).decode("latin-1")
    return sha256(given).hexdigest() if given else ""


class ProtectedSigner(TimestampSigner):
    """A ``django.core.signing.TimestampSigner`` whose values are also encrypted.

    key: separates values by their use, as Django's signed cookies are; it is not a secret here.
    fallback_keys: further keys whose values are read.
    sep, algorithm: accepted because Django passes them, and ignored.
    """

    def __init__(
        self,
        *,
        key: str | bytes | None = None,
        sep: str = ":",
        salt: str | None = None,
        algorithm: str | None = None,
        fallback_keys: Iterable[str | bytes] | None = None,
    ) -> None:
        super().__init__(key="ignored", sep=sep, salt=salt, algorithm=algorithm, fallback_keys=[])
        self._domain = _domain(key)
        self._domains = dict.fromkeys((self._domain, *map(_domain, fallback_keys or ())))

    def signature(self, value: str | bytes, key: str | bytes | None = None) -> str:
        """Refused: values are encrypted as a whole, so there is no separate signature."""
        raise ConfigurationError(
            "a protected value has no separate signature",
            hint="use sign and unsign, or django.core.signing.Signer for a separate signature",
        )

    def sign(self, value: str) -> str:
        """Protect ``str(value)``. The result is URL-safe text, which opens only with this salt."""
        data = str(value).encode("utf-8", "surrogatepass")
        return _protector(get_data_protection(), self._domain).protect(data, str(self.salt))

    def sign_object(self, obj: Any, serializer: Any = JSONSerializer, compress: bool = False) -> str:
        """``obj`` as URL-safe text. `ConfigurationError` for a value that cannot be read back."""
        data = serialize(serializer().dumps, obj, "value")
        written: Any = lambda: SimpleNamespace(dumps=lambda _: data)  # noqa: E731
        return super().sign_object(obj, serializer=written, compress=compress)

    def _unprotect(self, protection: DataProtection, value: str) -> tuple[int, bytes]:
        *others, last = self._domains
        for domain in others:
            with suppress(UnprotectError):
                return _protector(protection, domain).unprotect(value, str(self.salt))
        return _protector(protection, last).unprotect(value, str(self.salt))

    def unsign(self, value: str, max_age: float | timedelta | None = None) -> str:
        """The value. ``BadSignature``, or ``SignatureExpired`` if it is older than ``max_age`` seconds."""
        protection = get_data_protection()
        try:
            made, data = self._unprotect(protection, value)
        except UnprotectError as error:
            raise BadSignature(f"the value does not open: {error}") from error
        except AttributeError as error:
            raise explain(ProtectedSigner.unsign, error, value=value) from None
        if max_age is not None:
            age = (ticks_of(protection.now()) - made) / TICKS_PER_SECOND
            if not -SKEW_SECONDS <= age <= seconds(max_age):
                raise SignatureExpired(f"Signature age {age} > {seconds(max_age):g} seconds")
        return data.decode("utf-8", "surrogatepass")


def dumps(
    obj: Any,
    key: str | bytes | None = None,
    salt: str = "django.core.signing",
    serializer: Callable[[], Any] = JSONSerializer,
    compress: bool = False,
) -> str:
    """``obj`` as URL-safe text."""
    _refuse(key)
    try:
        return ProtectedSigner(salt=salt).sign_object(obj, serializer=serializer, compress=compress)
    except TypeError as error:
        raise explain(dumps, error, serializer=serializer) from None


def loads(  # noqa: PLR0917 (the signature is Django's)
    s: str,
    key: str | bytes | None = None,
    salt: str = "django.core.signing",
    serializer: Callable[[], Any] = JSONSerializer,
    max_age: float | timedelta | None = None,
    fallback_keys: Iterable[str | bytes] | None = None,
) -> Any:
    """What `dumps` was given. ``BadSignature``, ``SignatureExpired``."""
    _refuse(key, fallback_keys)
    try:
        return ProtectedSigner(salt=salt).unsign_object(s, serializer=cast("Any", serializer), max_age=max_age)
    except TypeError as error:
        raise explain(loads, error, serializer=serializer) from None


def _refuse(*given: object) -> None:
    if any(value is not None for value in given):
        raise ConfigurationError("a key cannot be used with the key ring", hint="use another salt to separate values")
