"""URLs that name components: the right class, the nearest name for a mistake, and no password in any message."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dpmiddleware.components import repository_from, signer_from, wrappers_from
from dpmiddleware.errors import ConfigurationError
from dpmiddleware.repositories.files import FileKeyRepository
from dpmiddleware.repositories.memory import MemoryKeyRepository
from tests.fakes import BoxWrapper, WatchedRepository

PASSWORD = "hunter2"


def refused(make: Any, given: Any) -> str:
    """The message and hint of a refusal."""
    with pytest.raises(ConfigurationError) as caught:
        make(given)
    return f"{caught.value} | {caught.value.hint}"


def test_an_object_is_taken_as_it_is() -> None:
    store, wrapper = WatchedRepository(), BoxWrapper()
    assert repository_from(store) is store
    assert wrappers_from(wrapper) == ((wrapper,), False)


@pytest.mark.parametrize(
    "path",
    [
        "keys",
        "./keys",
        "/var/lib/keys",
        "/srv/keys:old",
        "a b/é",
        "C:\\keys",
        "c:/keys",
        "./a//b",
        "/a://b",
        "k;x",
        "../keys",
    ],
)
def test_no_scheme_or_one_letter_is_a_path(path: str) -> None:
    assert isinstance(repository_from(path), FileKeyRepository)


def test_a_path_object_is_a_path(tmp_path: Path) -> None:
    repository = repository_from(tmp_path)
    assert isinstance(repository, FileKeyRepository)
    assert repository.location == str(tmp_path)


def test_schemes_are_known_in_any_case(tmp_path: Path) -> None:
    assert isinstance(repository_from("memory:"), MemoryKeyRepository)
    assert isinstance(repository_from(f"FILE://{tmp_path}"), FileKeyRepository)


@pytest.mark.parametrize(
    ("url", "near"),
    [
        ("redsi://host/0", "redis"), ("rediss+x://host", "rediss"), ("memroy:", "memory"), ("fiel:///keys", "file"),
        ("azblb://a/c/b", "azblob"), ("postgres://host/db", "postgresql"), ("registy://HKLM/x", "registry"),
        ("djago:default", "django"),
    ],
)  # fmt: skip
def test_a_misspelt_repository_is_told_the_nearest_name(url: str, near: str) -> None:
    assert f"did you mean {near}:" in refused(repository_from, url)


@pytest.mark.parametrize(
    ("url", "near"),
    [
        ("x590:///k.pem", "x509"), ("secrt:env:KEY", "secret"), ("azurkv://v/k", "azurekv"), ("awskm:///k", "awskms"),
        ("dpapii:", "dpapi"), ("plian:", "plain"), ("openboa://h/t/k", "openbao"), ("keyblop:///b", "keyblob"),
    ],
)  # fmt: skip
def test_a_misspelt_wrapper_is_told_the_nearest_name(url: str, near: str) -> None:
    assert f"did you mean {near}:" in refused(wrappers_from, url)


def test_a_name_that_is_near_to_nothing_is_told_all() -> None:
    said = refused(repository_from, "zzzzz://x")
    assert "use one of: " in said
    assert all(name in said for name in ("redis", "file", "s3", "azblob", "memory"))


@pytest.mark.parametrize("make", [repository_from, wrappers_from, signer_from])
@pytest.mark.parametrize(
    "url",
    [
        f"nope://user:{PASSWORD}@host/x", f"nope://:{PASSWORD}@host", f"nope://host/x?password={PASSWORD}",
        f"nope://host/x?token={PASSWORD}&x=1", f"nope://u:{PASSWORD}/x@host", f"nope://u:x#{PASSWORD}@host",
    ],
)  # fmt: skip
def test_no_message_shows_a_password(make: Any, url: str) -> None:
    assert PASSWORD not in refused(make, url)


@pytest.mark.parametrize("url", ["nope:\n//x", "nope:" + "a" * 5000, "nope:\x1b[2J", "nope:\u2028x"])
def test_a_message_is_one_line_whatever_was_given(url: str) -> None:
    said = refused(repository_from, url)
    assert said.isprintable()
    assert len(said) < 2000


# --- wrappers ---------------------------------------------------------------------------------------------------------


def test_nothing_configured_means_unencrypted_keys() -> None:
    assert wrappers_from(None) == ((), True)


def test_plain_is_explicit_not_assumed() -> None:
    wrapper = BoxWrapper()
    assert wrappers_from("plain:") == ((), True)
    assert wrappers_from([wrapper]) == ((wrapper,), False)
    assert wrappers_from([wrapper, "plain:"]) == ((wrapper,), True)


def test_plain_never_comes_first() -> None:
    """The first wraps: keys would be written unencrypted although there is a wrapper."""
    assert "comes first" in refused(wrappers_from, ["plain:", BoxWrapper()])
    assert "comes first" in refused(wrappers_from, "plain: secret:env:KEY")


def test_plain_twice_is_plain() -> None:
    assert wrappers_from("plain: plain:") == ((), True)


@pytest.mark.parametrize("empty", ["", "  ", [], ["", " "], ()], ids=repr)
def test_an_empty_wrapper_is_refused_and_not_taken_for_none(empty: Any) -> None:
    assert "plain:" in refused(wrappers_from, empty)


def test_a_list_in_a_variable_is_separated_by_white_space() -> None:
    wrappers, plain = wrappers_from("secret:env:NEW\n secret:env:OLD\tplain:")
    assert len(wrappers) == 2
    assert plain


def test_a_url_without_its_colon_makes_no_folder_with_a_password_in_its_name() -> None:
    with pytest.raises(ConfigurationError, match="without its colon") as caught:
        repository_from("redis//ada:hunter2@localhost/0")
    assert "hunter2" not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize("given", [3, b"x509:", dict, "no scheme", "/etc/keys.pem"], ids=repr)
def test_what_is_not_a_wrapper_is_refused(given: Any) -> None:
    with pytest.raises(ConfigurationError):
        wrappers_from(given)


def test_an_object_that_lacks_something_is_told_what() -> None:
    class Half:
        location = "half"

        def read(self) -> None: ...

    said = refused(repository_from, Half())
    assert "Half" in said
    assert "version, commit" in said
    assert "KeyRepository" in said


def test_an_attribute_of_the_object_is_as_good_as_one_of_its_class() -> None:
    class Own:
        def __init__(self) -> None:
            self.location = "own"

        def read(self) -> None: ...
        def version(self) -> None: ...
        def commit(self) -> None: ...

    given: Any = Own()
    assert repository_from(given) is given
    assert "it has no read" in refused(repository_from, Own)


# --- signers ----------------------------------------------------------------------------------------------------------


def test_a_signer_is_an_ed25519_file_or_an_object() -> None:
    marker: Any = object()
    assert signer_from(None) is None
    assert signer_from(marker) is marker
    assert "did you mean ed25519:" in refused(signer_from, "ed25591:///k.pem")
    assert "ed25519" in refused(signer_from, "/etc/signer.pem")
