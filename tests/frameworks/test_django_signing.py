"""Issue: a signed cookie of Django opened as a value of ``signing.loads`` where the salts are equal.

Django puts a domain before SECRET_KEY in the key of signed cookies; the signer ignored the key.
"""

from __future__ import annotations

import os
from typing import Any

import django
import pytest
from django.core.signing import BadSignature, JSONSerializer, get_cookie_signer
from django.http import HttpResponse
from django.test import RequestFactory, override_settings

from dpmiddleware import purposes
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.django import signing
from dpmiddleware.django.signing import ProtectedSigner
from dpmiddleware.protection.stamped import StampedProtector

OLD, NEW = "the secret of last year", "the secret of this year"


@pytest.fixture(autouse=True)
def _project(dp: DataProtection) -> Any:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.frameworks.django_site.settings")
    django.setup()
    backend = "dpmiddleware.django.signing.ProtectedSigner"
    with override_settings(DATA_PROTECTION=dp, SIGNING_BACKEND=backend, SECRET_KEY=NEW, SECRET_KEY_FALLBACKS=[OLD]):
        yield


def cookie_of(name: str, value: Any, salt: str = "") -> str:
    """A signed cookie with what looks like a token."""
    plain = ProtectedSigner(salt="x").sign_object(value)
    token = ProtectedSigner(salt="x").unsign(plain)
    response = HttpResponse()
    response.set_signed_cookie(name, token, salt=salt)
    return str(response.cookies[name].value)


@pytest.mark.parametrize(("name", "salt"), [("links", ""), ("li", "nks")])
def test_a_signed_cookie_opened_as_a_token(name: str, salt: str) -> None:
    """The salt of a cookie is its name and its salt; a user may choose the value of many a cookie."""
    with pytest.raises(BadSignature):
        signing.loads(cookie_of(name, {"user": 1}, salt), salt="links")


def test_a_token_opened_as_a_signed_cookie() -> None:
    request = RequestFactory().get("/")
    request.COOKIES["links"] = signing.dumps("x", salt="links")
    assert request.get_signed_cookie("links", default=None) is None
    assert get_cookie_signer("links").unsign(get_cookie_signer("links").sign("x")) == "x"


KEYS: dict[str, Any] = {
    "none": None,
    "the-secret": NEW,
    "cookies": b"django.http.cookies" + NEW.encode(),
    "mail": f"mail{NEW}",
    "another-key": "a key of the application",
    "and-another": b"another key",
}


@pytest.mark.parametrize("one", KEYS)
def test_keys_separate_values_as_in_django(one: str) -> None:
    text = ProtectedSigner(key=KEYS[one], salt="s").sign("x")
    same = {"none", "the-secret"}
    for other, key in KEYS.items():
        signer = ProtectedSigner(key=key, salt="s")
        if one == other or {one, other} <= same:
            assert signer.unsign(text) == "x"
        else:
            with pytest.raises(BadSignature):
                signer.unsign(text)


def test_a_new_secret_key_changes_nothing() -> None:
    with override_settings(SECRET_KEY=OLD, SECRET_KEY_FALLBACKS=[]):
        text = get_cookie_signer("s").sign("x")
    assert get_cookie_signer("s").unsign(text) == "x"
    with override_settings(SECRET_KEY_FALLBACKS=[]):
        assert get_cookie_signer("s").unsign(text) == "x", "the ring holds the keys"


def test_a_secret_that_ends_with_another_one_is_no_use_of_it() -> None:
    with override_settings(SECRET_KEY="secret", SECRET_KEY_FALLBACKS=["oldsecret"]):
        for key in ("secret", "oldsecret"):
            assert ProtectedSigner().unsign(ProtectedSigner(key=key).sign("x")) == "x"


def test_values_under_fallback_keys_are_read() -> None:
    text = ProtectedSigner(key="first key", salt="s").sign("x")
    assert ProtectedSigner(key="second key", fallback_keys=["first key"], salt="s").unsign(text) == "x"
    assert ProtectedSigner(key="second key", fallback_keys=iter(["first key"]), salt="s").unsign(text) == "x"
    with pytest.raises(BadSignature):
        ProtectedSigner(key="second key", fallback_keys=["third key"], salt="s").unsign(text)


def test_a_key_works_without_a_secret_key() -> None:
    with override_settings(SECRET_KEY=""):
        assert ProtectedSigner(key="k", salt="s").unsign(ProtectedSigner(key="k", salt="s").sign("x")) == "x"
        assert signing.loads(signing.dumps("x")) == "x"


def test_tokens_from_before_are_read(dp: DataProtection) -> None:
    """They were made with the salt alone, as they still are."""
    before = StampedProtector(dp, purposes.django_signer, "signer")
    data = ProtectedSigner(salt="s").unsign(ProtectedSigner(salt="s").sign_object({"user": 7}, JSONSerializer))
    assert signing.loads(before.protect(data.encode(), "s"), salt="s", max_age=60) == {"user": 7}
    assert before.unprotect(signing.dumps("x", salt="s"), "s")


def test_cookies_from_before_count_as_missing(dp: DataProtection) -> None:
    before = StampedProtector(dp, purposes.django_signer, "signer")
    request = RequestFactory().get("/")
    request.COOKIES["tea"] = before.protect(b"green", "tea")
    assert request.get_signed_cookie("tea", default="none") == "none"


def test_no_key_is_in_the_purposes() -> None:
    assert "a key of the application" not in str(vars(ProtectedSigner(key="a key of the application", salt="s")))
    assert NEW not in str(vars(get_cookie_signer("s")))
