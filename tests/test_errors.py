"""The tree of errors, by who has to act. Its codes are for programs and do not change."""

from __future__ import annotations

import copy
import pickle
from uuid import UUID

import pytest
from itsdangerous import BadSignature

from dpmiddleware import ProtectedSerializer, errors
from dpmiddleware.errors import DataProtectionError, MissingExtraError, UnknownKeyError
from dpmiddleware.protection import base64url
from dpmiddleware.repositories.memory import MemoryKeyRepository
from tests.fakes import DAY, BoxWrapper, StoppedClock, data_protection, key_document

CODES = {
    "DataProtectionError": "error",
    "ConfigurationError": "configuration",
    "MissingExtraError": "missing_extra",
    "UnsupportedAlgorithmError": "unsupported_algorithm",
    "CookieTooLargeError": "cookie_too_large",
    "KeyManagementError": "key_management",
    "RepositoryError": "repository",
    "VersionConflict": "version_conflict",
    "MalformedDocumentError": "malformed_document",
    "DocumentSignatureError": "document_signature",
    "KeyUnwrapError": "key_unwrap",
    "NoUsableKeyError": "no_usable_key",
    "UnprotectError": "unprotect",
    "MalformedPayloadError": "malformed",
    "UnknownKeyError": "unknown_key",
    "UnusableKeyError": "unusable_key",
    "RevokedKeyError": "revoked_key",
    "TamperedPayloadError": "tampered",
    "ExpiredPayloadError": "expired",
}
BRANCHES = (errors.ConfigurationError, errors.KeyManagementError, errors.UnprotectError)


def test_the_codes_are_those_that_were_published() -> None:
    assert {name: getattr(errors, name).code for name in errors.__all__} == CODES


@pytest.mark.parametrize("name", [name for name in CODES if name != "DataProtectionError"])
def test_an_error_has_one_branch(name: str) -> None:
    """Catching one branch does not catch another: an outage is never a refused payload."""
    assert sum(issubclass(getattr(errors, name), branch) for branch in BRANCHES) == 1


def test_a_missing_library_names_its_extra_and_is_an_import_error() -> None:
    error = MissingExtraError("redis", "redis://")
    assert isinstance(error, ImportError)
    assert error.extra == "redis"
    assert error.hint == "install it: pip install 'dpmiddleware[redis]'"


def test_a_key_id_is_text_however_it_was_given() -> None:
    raw = bytes.fromhex("809c810c19661940953653f8aaffee57")
    text = "0c819c80-6619-4019-9536-53f8aaffee57"
    assert UnknownKeyError("gone", key_id=raw).key_id == UnknownKeyError("gone", key_id=text).key_id == text
    assert UnknownKeyError("gone").key_id is None


RAW_ID = bytes.fromhex("809c810c19661940953653f8aaffee57")
EXAMPLES = [
    UnknownKeyError("gone", key_id="a", hint="b"),
    UnknownKeyError("gone", key_id=RAW_ID),
    errors.RepositoryError("c", hint="d"),
    errors.ExpiredPayloadError("late", expired_at="2026-01-01T00:00:00Z", key_id="a"),
    errors.DocumentSignatureError("e", reason="wrong_ring", hint="f"),
    MissingExtraError("redis", "redis://"),
]


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("again", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))], ids=["copy", "pickle"])
def test_an_error_survives_a_process_pool(error: DataProtectionError, again: object) -> None:
    assert callable(again)
    other = again(error)
    assert type(other) is type(error)
    assert (str(other), other.hint, other.code, vars(other)) == (str(error), error.hint, error.code, vars(error))


# --- what a person reads ----------------------------------------------------------------------------------------------


def test_an_unknown_key_is_named_as_dpm_names_it_and_not_as_a_tuple_with_raw_bytes() -> None:
    error = UnknownKeyError("the payload's key is not in the ring", key_id=RAW_ID)
    assert str(error) == "the payload's key is not in the ring (key 0c819c80-6619-4019-9536-53f8aaffee57)"
    assert error.args == ("the payload's key is not in the ring",)
    assert "dpm keys list" in error.hint


REFUSALS: dict[str, tuple[type[errors.UnprotectError], bool]] = {
    "unknown key": (errors.UnknownKeyError, True),
    "unknown key, bytes": (errors.UnknownKeyError, True),
    "revoked key": (errors.RevokedKeyError, True),
    "unusable key": (errors.UnusableKeyError, True),
    "other purposes": (errors.TamperedPayloadError, True),
    "expired": (errors.ExpiredPayloadError, False),
    "not a payload": (errors.MalformedPayloadError, False),
    "not a payload, bytes": (errors.MalformedPayloadError, False),
    "not text": (errors.MalformedPayloadError, False),
}


def refuse(case: str) -> None:
    """Have a payload refused."""
    clock, wrapper = StoppedClock(), BoxWrapper()
    stored = key_document(wrapper=wrapper)
    repository = MemoryKeyRepository([stored])
    dp = data_protection(repository, clock, key_wrapper=wrapper)
    protector = dp.create_protector("p")
    token = protector.protect("text")
    if case.startswith("unknown key"):
        other = data_protection(MemoryKeyRepository(), clock).create_protector("p")
        other.unprotect(token) if case == "unknown key" else other.unprotect(base64url.decode(token))
    elif case == "revoked key":
        dp.manager.revoke(dp.current().keys[0].id, "lost")
        data_protection(repository, clock, key_wrapper=wrapper).create_protector("p").unprotect(token)
    elif case == "unusable key":
        data_protection(MemoryKeyRepository([stored, key_document()]), clock).create_protector("p").unprotect(token)
    elif case == "other purposes":
        dp.create_protector("q").unprotect(token)
    elif case == "expired":
        limited = protector.time_limited()
        token = limited.protect("text", lifetime=DAY)
        clock.advance(days=2)
        limited.unprotect(token)
    elif case == "not a payload":
        protector.unprotect("abc")
    elif case == "not a payload, bytes":
        protector.unprotect(b"abc")
    elif case == "not text":
        protector.unprotect(base64url.encode(protector.protect(b"\xff")))


@pytest.mark.parametrize("case", REFUSALS)
def test_each_refusal_is_a_sentence_and_says_what_to_do(case: str) -> None:
    kind, names_its_key = REFUSALS[case]
    with pytest.raises(errors.UnprotectError) as caught:
        refuse(case)
    error = caught.value
    assert type(error) is kind
    for text in (str(error), error.hint):
        assert " " in text
        assert not text.startswith("(")
        assert "\\x" not in text
        assert "b'" not in text
    assert str(error).count(str(error.key_id)) == names_its_key
    if names_its_key:
        assert str(UUID(error.key_id)) == error.key_id


def test_what_wraps_a_refusal_says_why() -> None:
    """The errors that itsdangerous and Django know."""
    one, other = data_protection(MemoryKeyRepository()), data_protection(MemoryKeyRepository())
    other.current()
    with pytest.raises(BadSignature, match=r"key is not in the ring \(key [0-9a-f-]{36}\)$"):
        ProtectedSerializer(other, salt="s").loads(ProtectedSerializer(one, salt="s").dumps("x"))
