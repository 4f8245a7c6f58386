"""One setting, six places: each accepts it, and an error about it uses the name that it has in that place."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import django
import flask
import pytest
from django.test import override_settings

from dpmiddleware import DataProtection, RotationPolicy
from dpmiddleware.cli import main
from dpmiddleware.django.apps import get_data_protection
from dpmiddleware.errors import ConfigurationError
from dpmiddleware.flask import ProtectedSessions
from dpmiddleware.flask import get_data_protection as flasks
from dpmiddleware.keys.policy import POLICY_SETTINGS, PolicySettings
from dpmiddleware.naming import ARGUMENT, DJANGO, FLASK, OPTION, TABLE, VARIABLE, Naming
from dpmiddleware.settings import SETTINGS
from tests.fakes import events

GOOD = {"application": "shop", "repository": "memory:"}


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.frameworks.django_site.settings")
    django.setup()
    for name in SETTINGS:
        monkeypatch.delenv(VARIABLE.write(name), raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)


def by_constructor(**settings: str) -> DataProtection:
    return DataProtection(**settings)  # type: ignore[arg-type]  # misfits are the point


def by_environment(**settings: str) -> DataProtection:
    return DataProtection.from_env({VARIABLE.write(name): value for name, value in settings.items()})


def by_file(**settings: str) -> DataProtection:
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    Path("shop.toml").write_text("\n".join(["[data_protection]", *lines]), "utf-8")
    return DataProtection.from_toml("shop.toml")


def by_flask(**settings: str) -> DataProtection:
    app = flask.Flask("shop")
    app.config.update({FLASK.write(name): value for name, value in settings.items()})
    ProtectedSessions(app)
    return flasks(app)


def by_django(**settings: str) -> DataProtection:
    with override_settings(DATA_PROTECTION=settings):
        return get_data_protection()


PLACES: dict[str, tuple[Callable[..., DataProtection], Naming]] = {
    "constructor": (by_constructor, ARGUMENT),
    "environment": (by_environment, VARIABLE),
    "TOML": (by_file, TABLE),
    "Flask": (by_flask, FLASK),
    "Django": (by_django, DJANGO),
}
"""``dpm`` has tests of its own below: it prints, and exits with 2."""
DURATIONS = {
    "lifetime": ("30d", timedelta(days=30)),
    "propagation": ("36h", timedelta(hours=36)),
    "refresh": ("1h30m", timedelta(minutes=90)),
    "clock_skew": ("0s", timedelta()),
    "poll": ("2.5s", timedelta(seconds=2.5)),
    "max_stale": ("5m", timedelta(minutes=5)),
}
BAD = {
    "no duration": ("poll", "3x", "='3x' is not a duration"),
    "a number without a unit": ("lifetime", "90", "='90' is not a duration; a number needs its unit"),
    "a lifetime that is too short": ("lifetime", "3d", "=3d is shorter than 7 days"),
    "a poll of zero": ("poll", "0s", "=0s is zero"),
    "a limit below two polls": (
        "max_stale",
        "15s",
        "=15s is shorter than two polls of 10s: a ring would be too old during its next check",
    ),
    "an unknown scheme": ("repository", "nosuch://host", "='nosuch://host' has the unknown scheme 'nosuch'"),
    "no wrapper": ("key_wrapper", " ", " is empty"),
}


def test_the_names_of_time_spans_are_those_of_the_policy() -> None:
    assert tuple(PolicySettings.__annotations__) == POLICY_SETTINGS == tuple(DURATIONS)
    assert set(POLICY_SETTINGS) < set(SETTINGS)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", DURATIONS)
def test_a_time_span_can_be_set_in_every_place(place: str, name: str) -> None:
    text, span = DURATIONS[name]
    dp = PLACES[place][0](**GOOD, **{name: text})
    assert dp.policy == RotationPolicy(**{name: span})
    assert dp.current().policy == dp.policy, "it is obeyed"


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("case", BAD)
def test_a_bad_value_is_shown_with_the_name_that_it_has_there(place: str, case: str) -> None:
    name, value, said = BAD[case]
    make, naming = PLACES[place]
    with pytest.raises(ConfigurationError) as caught:
        make(**{**GOOD, name: value})
    written = naming.write(name)  # with = as an argument
    assert str(caught.value) == f"{written.removesuffix('=') if said.startswith('=') else written}{said}"
    assert caught.value.hint


@pytest.mark.parametrize("place", PLACES)
def test_two_time_spans_that_contradict_each_other_are_both_named(place: str) -> None:
    make, naming = PLACES[place]
    with pytest.raises(ConfigurationError) as caught:
        make(**GOOD, lifetime="7d", propagation="6d")
    for name, value in {"lifetime": "7d", "propagation": "6d", "refresh": "1d"}.items():
        assert f"{naming.write(name).removesuffix('=')}={value}" in str(caught.value)


@pytest.mark.parametrize(("given", "limit"), [("none", None), (" NONE ", None), ("1h", timedelta(hours=1))])
def test_no_limit_can_be_said_of_a_stale_ring(given: str, limit: timedelta | None) -> None:
    assert by_environment(**GOOD, max_stale=given).policy.max_stale == limit


def test_a_number_counts_as_seconds_where_there_are_numbers() -> None:
    assert DataProtection("shop", repository="memory:", poll=5).policy.poll == timedelta(seconds=5)  # type: ignore[arg-type]  # documented so
    Path("n.toml").write_text('[data_protection]\napplication = "shop"\npoll = 2.5\n', "utf-8")
    assert DataProtection.from_toml("n.toml").policy.poll == timedelta(seconds=2.5)


def test_time_spans_come_on_top_of_a_policy() -> None:
    dp = DataProtection("shop", policy=RotationPolicy(lifetime=timedelta(days=30)), poll="5s")
    assert dp.policy == RotationPolicy(lifetime=timedelta(days=30), poll=timedelta(seconds=5))


def test_a_secret_in_the_wrong_variable_is_not_repeated() -> None:
    secret = "0123456789abcdef" * 4
    for name in ("poll", "auto_create_keys", "algorithm"):
        with pytest.raises(ConfigurationError) as caught:
            by_environment(**GOOD, **{name: secret})
        assert secret not in str(caught.value) + caught.value.hint
        assert VARIABLE.write(name) in str(caught.value)


def test_what_the_settings_and_the_call_both_give_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="repository is given in the settings and in the call"):
        DataProtection.from_config(GOOD, repository="memory:")
    assert DataProtection.from_config({"repository": "memory:"}, application="shop").application == "shop"


# --- dpm --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", [case for case in BAD if BAD[case][0] in POLICY_SETTINGS])
def test_dpm_names_the_option_or_the_variable(
    case: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    name, value, said = BAD[case]
    ring = ["--application=shop", "--repository=keys"]
    assert main(["keys", "rotate", "--if-due", *ring, OPTION.write(name), value]) == 2
    assert f"dpm: error: {OPTION.write(name)} {said.removeprefix('=')}" in capsys.readouterr().err
    monkeypatch.setenv(VARIABLE.write(name), value)
    assert main(["keys", "rotate", "--if-due", *ring]) == 2
    assert f"dpm: error: {VARIABLE.write(name)}{said}" in capsys.readouterr().err
    assert not Path("keys").exists()


@pytest.mark.parametrize("by_option", [True, False], ids=["option", "variable"])
def test_dpm_keys_rotate_obeys_the_policy_of_its_settings(
    by_option: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key of 30 days is not due; with a propagation of 40 days it is."""
    ring = ["--application=shop", "--repository=keys"]
    assert main(["keys", "create", "--lifetime", "30d", *ring]) == 0
    if not by_option:
        monkeypatch.setenv("DPM_PROPAGATION", "40d")
    more = ["--propagation", "40d"] if by_option else []
    assert main(["keys", "rotate", "--if-due", *ring, *more]) == 0
    capsys.readouterr()
    assert len(list(Path("keys").glob("key-*.xml"))) == 2


# --- where nothing else is set ----------------------------------------------------------------------------------------


def test_flask_falls_back_to_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DPM_APPLICATION", "shop")
    monkeypatch.setenv("DPM_REPOSITORY", "memory:")
    assert by_flask().repository.location == "memory:"


def test_django_falls_back_to_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DPM_APPLICATION", "shop")
    monkeypatch.setenv("DPM_REPOSITORY", "memory:")
    with override_settings(DATA_PROTECTION=None):
        assert get_data_protection().repository.location == "memory:"


def test_an_error_of_the_fallback_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DPM_REPOSITORY", "memory:")
    for make in (by_flask, _with_no_setting):
        with pytest.raises(ConfigurationError, match="DPM_APPLICATION is not set"):
            make()


def _with_no_setting() -> DataProtection:
    with override_settings(DATA_PROTECTION=None):
        return get_data_protection()


def test_where_nothing_is_set_at_all_the_hint_names_both_ways() -> None:
    for make, own in ((by_flask, "DATA_PROTECTION_APPLICATION"), (_with_no_setting, "DATA_PROTECTION =")):
        with pytest.raises(ConfigurationError) as caught:
            make()
        assert own in caught.value.hint
        assert "DPM_APPLICATION" in caught.value.hint


# --- variables that are not read --------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["constructor", "TOML", "Flask", "Django"])
def test_a_variable_that_is_not_read_is_one_warning_at_first_use(
    place: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """``DataProtection("shop")`` made a ring in the home folder while DPM_REPOSITORY named another place."""
    monkeypatch.setenv("DPM_REPOSITORY", "redis://localhost/0")
    monkeypatch.setenv("DPM_KEY_WRAPPER", "x509:///keys.pem")
    monkeypatch.setenv("DPM_LIFETIME", "30d")
    dp = PLACES[place][0](application="shop", lifetime="40d")
    assert not events(caplog, "environment_ignored")
    dp.create_protector("p").protect("x")
    dp.create_protector("q").protect("x")
    (event,) = events(caplog, "environment_ignored")
    assert event["variables"] == "DPM_REPOSITORY, DPM_KEY_WRAPPER"
    assert "DataProtection.from_env()" in str(event["hint"])


def test_what_the_arguments_say_is_not_a_surprise(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("DPM_APPLICATION", "shop")
    monkeypatch.setenv("DPM_REPOSITORY", "keys")
    DataProtection("other", repository="elsewhere").create_protector("p").protect("x")
    DataProtection.from_env().create_protector("p").protect("x")
    assert main(["keys", "list", "--repository=elsewhere"]) == 0
    assert not events(caplog, "environment_ignored")


def test_keys_in_memory_are_told_with_their_own_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("DPM_KEY_WRAPPER", "x509:///keys.pem")
    DataProtection("shop", repository="memory:").create_protector("p").protect("x")
    assert [str(record.__dict__.get("event")) for record in caplog.records][:1] == ["keys_in_memory"]
    assert not events(caplog, "environment_ignored")
