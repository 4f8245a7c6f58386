"""Which of the frameworks' own tests differ with ours in place, and why. The list is exact.

Names are as the frameworks' runners print them, without parameters. The same list, for readers, stands in
``docs/compatibility.md``.
"""

from __future__ import annotations

from typing import Final

__all__ = ["DIFFERENCES"]

_LOWER: Final = "attributes of Set-Cookie are written in lower case, as ASP.NET Core writes them"
_NO_SECRET: Final = "sessions need no SECRET_KEY, so there is none that cannot be written for want of one"
_REFRESH: Final = "a permanent session is written again once half of its time is gone, not in every response"
_SIGNER: Final = "asks for a signer, its keys or its digest: a ring has keys of its own"
_CLEAR: Final = "asks for the value in clear, or of what is not authentic: values are encrypted"
_SEPARATOR: Final = "takes the separator out of the text; ours has none, so nothing was changed and it opens"
_LONGER: Final = "counts how many messages fit into a cookie: an encrypted one is longer"


def _serializer(*modules: str) -> dict[str, str]:
    """Of itsdangerous' serializers: the derived test classes run the base's tests again."""
    reasons = {
        "test_bad_payload_exception": _SIGNER,
        "test_bad_signature_exception": _CLEAR,
        "test_changed_value": _SEPARATOR,
        "test_iter_unsigners": _SIGNER,
        "test_loads_unsafe": _CLEAR,
        "test_serializer_kwargs": _SIGNER,
        "test_signer_cls": _SIGNER,
    }
    tests = "tests.test_itsdangerous."
    return {f"{tests}{module}::{name}": reason for module in modules for name, reason in reasons.items()}


DIFFERENCES: Final[dict[str, dict[str, str]]] = {
    "starlette": {
        "tests.middleware.test_session::test_session": _LOWER,
        "tests.middleware.test_session::test_session_zero_max_age": "a session that ends at once is refused at start",
    },
    "flask": {
        "tests.test_basic::test_missing_session": _NO_SECRET,
        "tests.test_basic::test_session_cookie_setting": _REFRESH,
        "tests.test_basic::test_session_refresh_vary": _REFRESH,
        "tests.test_basic::test_session_secret_key_fallbacks": "old secrets are for `FlaskSessions`, until a fixed day",
        "tests.test_basic::test_session_using_samesite_attribute": (
            "SameSite=Lax where SESSION_COOKIE_SAMESITE says nothing; an unknown word is a ConfigurationError"
        ),
        "tests.test_reqctx::test_bad_environ_raises_bad_request": "fails with Flask's own sessions as well (Werkzeug)",
        "tests.test_testing::test_session_transactions_no_null_sessions": _NO_SECRET,
    },
    "django": {
        "messages_tests.test_cookie.CookieTests.test_max_cookie_length": _LONGER,
        "messages_tests.test_fallback.FallbackTests.test_session_fallback": _LONGER,
        "messages_tests.test_mixins.SuccessMessageMixinTests.test_set_messages_success": _CLEAR,
        "sessions_tests.tests.CookieSessionTests.test_actual_expiry": (
            "Django expects its own engine to fail at this (set_expiry with a date that is past); ours does not"
        ),
        "signed_cookies_tests.tests.SignedCookieTest.test_can_set_and_read_signed_cookies": _CLEAR,
        "signing.tests.TestSigner.test_decode_detects_tampering": _SEPARATOR,
    },
    "itsdangerous": {
        **_serializer("test_serializer.TestSerializer", "test_timed.TestSerializer", "test_timed.TestTimedSerializer"),
        "tests.test_itsdangerous.test_serializer::test_digests": _SIGNER,
    },
}
