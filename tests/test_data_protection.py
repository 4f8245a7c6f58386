"""`DataProtection`: its arguments and settings, and that creating one does no I/O."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from dpmiddleware import Algorithm, DataProtection, RotationPolicy
from dpmiddleware.errors import ConfigurationError, KeyManagementError, RepositoryError
from dpmiddleware.protection.serializer import ProtectedSerializer
from dpmiddleware.repositories.files import FileKeyRepository
from dpmiddleware.repositories.memory import MemoryKeyRepository
from tests.fakes import BoxWrapper, StoppedClock, WatchedRepository, data_protection, events, key_document, ring_of

# --- I/O ------------------------------------------------------------------------------------------------------------

_watching: list[list[str]] = []
_WATCHED = ("open", "socket.connect", "socket.getaddrinfo", "os.listdir", "os.scandir", "os.mkdir", "subprocess.Popen")


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    if _watching and event in _WATCHED:
        _watching[-1].append(f"{event} {arguments[0]!r}")


@contextmanager
def audited() -> Iterator[list[str]]:
    """What Python opens, connects to, lists or starts. Audit hooks cannot be removed, so there is only one."""
    if not getattr(audited, "hooked", False):
        sys.addaudithook(_audit)
        audited.hooked = True  # type: ignore[attr-defined]  # a mark on the function itself
    _watching.append([])
    try:
        yield _watching[-1]
    finally:
        _watching.pop()


def test_the_audit_sees_a_file_that_is_opened() -> None:
    """The test below could not fail otherwise."""
    with audited() as seen:
        Path(__file__).read_bytes()
        os.listdir("/")  # noqa: PTH208 (what is audited)
    assert len(seen) == 2


WAYS: list[tuple[str, Callable[[Path], DataProtection]]] = [
    ("a folder", lambda folder: DataProtection("shop", repository=folder)),
    ("a folder that is not there", lambda folder: DataProtection("shop", repository=folder / "no" / "where")),
    ("a file URL", lambda folder: DataProtection("shop", repository=f"file://{folder}")),
    ("memory", lambda _: DataProtection("shop", repository="memory:")),
    ("nothing said", lambda _: DataProtection("shop")),
    ("trusted signers", lambda f: DataProtection("shop", repository=f, trusted_signers=[f / "missing.pem"])),
    ("a dead Redis", lambda _: DataProtection("shop", repository="redis://127.0.0.1:1/0")),
]


@pytest.mark.parametrize("make", [pytest.param(make, id=name) for name, make in WAYS])
def test_story_36_constructing_touches_nothing(make: Callable[[Path], DataProtection], tmp_path: Path) -> None:
    """Story 36: no file is opened, no address looked up, no folder made: not for the store, not for protectors."""
    make(tmp_path).create_protector("warm")  # modules are imported once
    with audited() as seen:
        dp = make(tmp_path)
        dp.create_protector("a", "b").create_protector("c").time_limited()
        ProtectedSerializer(dp, "salt")
        assert dp.wait_is_due(None)
        assert repr(dp) == "<DataProtection 'shop'>"
    assert seen == []
    assert list(tmp_path.iterdir()) == []


def test_a_store_is_not_asked_by_constructing() -> None:
    store = WatchedRepository()
    dp = DataProtection("shop", repository=store, clock=StoppedClock())
    dp.create_protector("p").create_protector("q").time_limited()
    dp.wait_is_due(bytes(16))
    assert store.calls == 0


def test_a_request_on_a_warm_ring_touches_nothing(tmp_path: Path) -> None:
    dp = DataProtection("shop", repository=tmp_path)
    protector, limited = dp.create_protector("p"), dp.create_protector("p").time_limited()
    serializer = ProtectedSerializer(dp)
    tokens = protector.protect("text"), limited.protect("text", lifetime=timedelta(hours=1)), serializer.dumps("text")
    with audited() as seen:
        assert protector.unprotect(tokens[0]) == limited.unprotect(tokens[1]) == serializer.loads(tokens[2]) == "text"
        protector.protect(b"more")
        serializer.dumps("more")
        dp.create_protector("new").protect("more")
    assert seen == []


def test_story_36_the_store_that_is_configured_is_the_one_that_is_used(tmp_path: Path) -> None:
    """Story 36: the key is where it is expected, and nowhere else."""
    dp = DataProtection("shop", repository=tmp_path / "keys")
    dp.create_protector("p").protect("text")
    (key,) = dp.current().keys
    assert [path.name for path in (tmp_path / "keys").glob("*.xml")] == [f"key-{key.id}.xml"]
    assert isinstance(dp.repository, FileKeyRepository)
    assert dp.home is None


def test_importing_the_package_does_no_io_of_its_own_and_no_extra() -> None:
    code = (
        "import sys, dpmiddleware; extras = {'redis', 'sqlalchemy', 'azure', 'boto3', 'hvac', 'flask', 'django',"
        " 'opentelemetry'}; print(sorted(extras & {name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- a store that cannot be written ---------------------------------------------------------------------------------


def test_a_key_that_cannot_be_stored_is_not_made_in_memory_instead() -> None:
    """Read-only, or full: always an error for the operator, and never a key that no other process has."""
    store, clock = WatchedRepository(), StoppedClock()
    store.commit_failure = RepositoryError(
        "cannot write to redis://store.example/0: read-only", hint="a writer makes it"
    )
    dp = data_protection(store, clock)
    protector = dp.create_protector("p")
    for _ in range(3):
        with pytest.raises(KeyManagementError, match="read-only") as caught:
            protector.protect("text")
        assert caught.value.hint
        clock.advance(seconds=2)
    assert not dp.health().ready
    assert store.inner.read().documents == ()
    store.commit_failure = None
    clock.advance(seconds=2)
    assert protector.unprotect(protector.protect("text")) == "text"


def test_an_expired_key_goes_on_protecting_where_none_can_be_stored(caplog: pytest.LogCaptureFixture) -> None:
    clock, document = StoppedClock(), key_document(expires=timedelta(days=1))
    store = ring_of(document)
    store.commit_failure = RepositoryError("cannot write: disk full", hint="free some space")
    protector = data_protection(store, clock).create_protector("p")
    token = protector.protect(b"text")
    for _ in range(3):
        clock.advance(days=1)
        assert protector.unprotect(token) == b"text"
        assert protector.protect(b"new")[4:20] == token[4:20]
    assert "disk full" in str(events(caplog, "making_blocked")[-1]["problem"])
    assert store.inner.read().documents[0].name == document.name
    store.commit_failure = None
    clock.advance(minutes=2)
    assert protector.protect(b"new")[4:20] != token[4:20]


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="becomes another user, which only root can")
def test_a_read_only_folder_is_an_error_with_a_hint(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    folder.mkdir(mode=0o755)
    code = (
        "import os, sys; from dpmiddleware import DataProtection, DataProtectionError\n"
        "farm = [DataProtection('shop', repository=sys.argv[1]) for _ in range(2)]; os.setuid(65534)\n"
        "for dp in farm:\n"
        "    try: dp.create_protector('p').protect('text')\n"
        "    except DataProtectionError as error: print(error.code, '|', error, '|', error.hint)\n"
    )
    tmp_path.chmod(0o755)
    tmp_path.parent.chmod(0o755)
    tmp_path.parent.parent.chmod(0o755)
    command = [sys.executable, "-c", code, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1])
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    for line in lines:
        assert line.startswith("repository | ")
        assert str(folder) in line
        assert line.rsplit("|", 1)[1].strip()
    assert list(folder.iterdir()) == []


# --- arguments --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", " ", "\t\n", 3, b"shop"], ids=repr)
def test_an_application_has_a_name_or_says_none(name: Any) -> None:
    with pytest.raises(ConfigurationError, match="application"):
        DataProtection(name)


def test_the_name_cannot_be_forgotten() -> None:
    with pytest.raises(TypeError):
        DataProtection()  # type: ignore[call-arg]  # the point


def test_a_name_is_taken_as_it_is() -> None:
    assert DataProtection(" Shop ", repository="memory:").create_protector("p").purposes == (" Shop ", "p")


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("an algorithm by name", {"algorithm": "AES_256_GCM"}, "Algorithm"),
    ("an algorithm of ours inside", {"algorithm": Algorithm.AES_256_GCM.value}, "Algorithm"),
    ("no repository at all", {"repository": 3}, "repository"),
    ("a class in place of an object", {"repository": dict}, "repository"),
    ("no key wrapper at all", {"key_wrapper": 3}, "key_wrapper"),
    ("an empty list of wrappers", {"key_wrapper": []}, "empty"),
    ("an empty wrapper", {"key_wrapper": " "}, "empty"),
    ("a signature without a ring", {"application": None, "trusted_signers": ["x.pem"]}, "needs a name"),
    ("plain first", {"key_wrapper": ["plain:", BoxWrapper()]}, "comes first"),
    ("text for a truth", {"auto_create_keys": "false"}, "auto_create_keys"),
    ("a number for a truth", {"auto_create_keys": 0}, "auto_create_keys"),
]


@pytest.mark.parametrize(("arguments", "said"), [pytest.param(a, said, id=name) for name, a, said in REFUSED])
def test_what_cannot_be_is_refused_at_start(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        DataProtection(**{"application": "shop", "repository": "memory:", **arguments})


def test_the_ring_has_the_applications_name_unless_said() -> None:
    assert DataProtection("shop", repository="memory:").ring == "shop"
    assert DataProtection("shop", ring="farm", repository="memory:").ring == "farm"
    assert DataProtection(None, repository="memory:").ring == ""


def test_new_keys_are_of_the_algorithm_that_was_chosen() -> None:
    dp = DataProtection("shop", repository="memory:", algorithm=Algorithm.AES_192_GCM)
    assert dp.current().protecting_key().algorithm == "AES-192-GCM"


def test_a_pure_reader_makes_no_key() -> None:
    store = WatchedRepository()
    with pytest.raises(KeyManagementError):
        data_protection(store, auto_create_keys=False).create_protector("p").protect("text")
    assert store.commits == 0


def test_a_policy_is_that_of_the_ring() -> None:
    policy = RotationPolicy(lifetime=timedelta(days=30))
    key = data_protection(MemoryKeyRepository(), policy=policy).current().protecting_key()
    assert key.expiration_date.since(key.creation_date) == timedelta(days=30)


def test_keys_in_memory_are_worth_a_warning_at_first_use_and_none_before(caplog: pytest.LogCaptureFixture) -> None:
    """Story 11: never silent. Story 26: no warning if it is never used."""
    dp = DataProtection("shop", repository="memory:")
    dp.create_protector("p")
    assert not events(caplog, "keys_in_memory")
    dp.create_protector("p").protect("text")
    dp.create_protector("q").protect("text")
    (event,) = events(caplog, "keys_in_memory")
    assert event["levelno"] == logging.WARNING
    assert "repository=" in str(event["msg"]) + str(event["args"])


def test_keys_in_clear_in_a_store_are_worth_a_warning_that_names_the_cure(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    DataProtection("shop", repository=tmp_path).create_protector("p").protect("text")
    (event,) = events(caplog, "keys_not_wrapped")
    assert "key_wrapper=" in str(event["args"])


# --- settings ---------------------------------------------------------------------------------------------------------


def purposes(dp: DataProtection) -> tuple[str, ...]:
    return dp.create_protector("p").purposes


def test_settings_come_from_a_mapping(tmp_path: Path) -> None:
    dp = DataProtection.from_config(
        {"application": "shop", "repository": str(tmp_path), "algorithm": "aes_256_gcm", "auto_create_keys": True}
    )
    assert dp.current().protecting_key().algorithm == "AES-256-GCM"
    assert list(tmp_path.glob("key-*.xml"))


def test_parts_that_no_file_can_hold_come_beside_the_mapping() -> None:
    clock, store = StoppedClock(), MemoryKeyRepository()
    dp = DataProtection.from_config({"application": None}, repository=store, clock=clock, key_wrapper=BoxWrapper())
    assert dp.repository is store
    assert dp.clock is clock
    assert purposes(dp) == ("p",)


BAD_CONFIGS: list[tuple[str, Mapping[str, Any], str]] = [
    ("no name", {"repository": "memory:"}, "no application name"),
    ("an empty name", {"application": ""}, "empty"),
    ("a misspelt setting", {"application": "shop", "repositroy": "memory:"}, "repositroy"),
    ("an unknown algorithm", {"application": "shop", "algorithm": "AES_512_CBC"}, "AES_512_CBC"),
    ("text for a truth", {"application": "shop", "auto_create_keys": "false"}, "auto_create_keys"),
    ("a list for a store", {"application": "shop", "repository": ["memory:"]}, "repository"),
]


@pytest.mark.parametrize(("settings", "said"), [pytest.param(s, said, id=name) for name, s, said in BAD_CONFIGS])
def test_a_mapping_that_says_nonsense_is_refused_with_what_it_says(settings: Mapping[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        DataProtection.from_config(settings)


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DPM_APPLICATION", "shop")
    monkeypatch.setenv("DPM_REPOSITORY", str(tmp_path))
    monkeypatch.setenv("DPM_ALGORITHM", "AES_128_GCM")
    monkeypatch.setenv("DPM_RING", "farm")
    monkeypatch.setenv("DPM_KEY_WRAPPER", "")
    dp = DataProtection.from_env()
    assert (dp.application, dp.ring) == ("shop", "farm")
    assert dp.current().protecting_key().algorithm == "AES-128-GCM"


@pytest.mark.parametrize(
    ("text", "makes"), [("true", True), ("TRUE", True), ("1", True), (" no ", False), ("0", False)]
)
def test_a_truth_in_a_variable(text: str, makes: bool) -> None:
    store = WatchedRepository()
    settings = {"DPM_APPLICATION": "shop", "DPM_AUTO_CREATE_KEYS": text}
    dp = DataProtection.from_env(settings, clock=StoppedClock(), repository=store)
    assert dp.manager.auto_create_keys is makes


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({}, "DPM_APPLICATION"),
        ({"DPM_APPLICATION": ""}, "DPM_APPLICATION"),
        ({"DPM_APPLICATION": "shop", "DPM_AUTO_CREATE_KEYS": "maybe"}, "DPM_AUTO_CREATE_KEYS"),
        ({"DPM_APPLICATION": "shop", "DPM_REPOSITORY": "redsi://host"}, "redsi"),
    ],
    ids=["nothing", "an empty name", "a third truth", "a misspelt scheme"],
)
def test_variables_that_say_nonsense_are_refused(variables: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        DataProtection.from_env(variables)


def test_settings_come_from_a_toml_file(tmp_path: Path) -> None:
    file = tmp_path / "shop.toml"
    file.write_text(
        '[data_protection]\napplication = "shop"\nrepository = "memory:"\nauto_create_keys = false\n', "utf-8"
    )
    dp = DataProtection.from_toml(file)
    assert dp.application == "shop"
    assert dp.manager.auto_create_keys is False


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("application = 'shop'", "no table"),
        ("data_protection = 3", "no table"),
        ("[data_protection", "cannot be read"),
        ("[data_protection]\nrepository = 'memory:'", "no application name"),
        (None, "cannot be read"),
    ],
)
def test_a_toml_file_that_says_nonsense_is_refused_and_named(tmp_path: Path, text: str | None, said: str) -> None:
    file = tmp_path / "shop.toml"
    if text is not None:
        file.write_text(text, "utf-8")
    with pytest.raises(ConfigurationError, match=said):
        DataProtection.from_toml(file)


# --- defaults ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user profile without keys; nothing else says where keys are."""
    for name in ("WEBSITE_INSTANCE_ID", "LOCALAPPDATA", "ReadOnlyDataProtectionKeyDirectory"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_where_nobody_said_keys_go_to_the_user_profile(profile: Path) -> None:
    dp = DataProtection("shop")
    assert dp.home is None
    dp.create_protector("p").protect("text")
    assert dp.home is not None
    assert list((profile / ".aspnet" / "DataProtection-Keys").glob("key-*.xml"))
    assert "user profile" in dp.home.why


def test_who_may_create_no_key_creates_no_folder_in_the_user_profile(profile: Path) -> None:
    reader = DataProtection("shop", auto_create_keys=False)
    with pytest.raises(KeyManagementError):
        reader.create_protector("p").protect("text")
    assert reader.repository.location == str(profile / ".aspnet" / "DataProtection-Keys")
    assert list(profile.iterdir()) == []


def test_a_tool_looks_into_the_user_profile_and_creates_no_folder(profile: Path) -> None:
    assert DataProtection("shop").with_parts().manager.read().keys == ()
    assert list(profile.iterdir()) == []


def test_a_folder_for_reading_only_gets_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ReadOnlyDataProtectionKeyDirectory", str(tmp_path))
    with pytest.raises(KeyManagementError):
        DataProtection("shop").create_protector("p").protect("text")
    assert list(tmp_path.iterdir()) == []


def test_two_slots_of_app_service_have_two_rings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The documented behaviour: what a swap of slots does to sign-ins."""
    monkeypatch.setenv("WEBSITE_INSTANCE_ID", "x")
    ids = set()
    for slot in ("staging", "production"):
        monkeypatch.setenv("HOME", str(tmp_path / slot))
        ids.add(DataProtection("shop").current().protecting_key().id)
        assert list((tmp_path / slot / "ASP.NET" / "DataProtection-Keys").glob("key-*.xml"))
    assert len(ids) == 2
