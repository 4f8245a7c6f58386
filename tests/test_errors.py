"""The tree of errors, by who has to act. Its codes are for programs and do not change."""

from __future__ import annotations

import copy
import pickle

import pytest

from dpmiddleware import errors
from dpmiddleware.errors import DataProtectionError, MissingExtraError, UnknownKeyError

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


@pytest.mark.parametrize(
    "error", [UnknownKeyError("gone", key_id="a", hint="b"), errors.RepositoryError("c", hint="d")]
)
@pytest.mark.parametrize("again", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))], ids=["copy", "pickle"])
def test_an_error_survives_a_process_pool(error: DataProtectionError, again: object) -> None:
    assert callable(again)
    other = again(error)
    assert (str(other), other.hint, other.code) == (str(error), error.hint, error.code)
