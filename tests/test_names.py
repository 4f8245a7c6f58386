"""A setting with a misspelt name is refused, with the nearest name; it was ignored, and a key stored unencrypted."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from flask import Flask

from dpmiddleware import ConfigurationError, DataProtection
from dpmiddleware.cli import main
from dpmiddleware.data_protection import SETTINGS
from dpmiddleware.flask import ProtectedSessions
from dpmiddleware.names import _OTHER_VARIABLES

ROOT = Path(__file__).parents[1]
MISSPELT = {
    "DPM_REPOSITRY": "DPM_REPOSITORY",
    "DPM_REPOSITORY_URL": "DPM_REPOSITORY",
    "DPM_KEYWRAPPER": "DPM_KEY_WRAPPER",
    "DPM_KEY_WRAPER": "DPM_KEY_WRAPPER",
    "DPM_TRUSTED_SIGNER": "DPM_TRUSTED_SIGNERS",
    "DPM_APP": "DPM_APPLICATION",
    "dpm_repository": "DPM_REPOSITORY",
    "Dpm_Ring": "DPM_RING",
    "DPM_AUTOCREATE_KEYS": "DPM_AUTO_CREATE_KEYS",
    "DPM_PUREPYTHON": "DPM_PURE_PYTHON",
}
GOOD = {"DPM_APPLICATION": "shop", "DPM_REPOSITORY": "memory:"}


@pytest.fixture(autouse=True)
def _empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in SETTINGS:
        monkeypatch.delenv(f"DPM_{name.upper()}", raising=False)


@pytest.mark.parametrize("name", MISSPELT)
def test_a_misspelt_variable_is_refused_and_the_nearest_name_is_given(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"the variable {name} is unknown") as caught:
        DataProtection.from_env({**GOOD, name: "x"})
    assert caught.value.hint.startswith(f"use {MISSPELT[name]};")


@pytest.mark.parametrize("name", MISSPELT)
def test_the_command_line_refuses_it_as_well(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv(name, "x")
    assert main(["keys", "create", "--application", "shop"]) == 2
    printed = capsys.readouterr().err
    assert f"dpm: error: the variable {name} is unknown" in printed
    assert f"dpm: hint: use {MISSPELT[name]};" in printed
    assert not (tmp_path / "home").exists(), "no key was created anywhere"


def test_a_variable_like_nothing_that_is_known_is_refused_with_all_names() -> None:
    with pytest.raises(ConfigurationError) as caught:
        DataProtection.from_env({**GOOD, "DPM_XYZZY": "x"})
    assert all(f"DPM_{name.upper()}" in caught.value.hint for name in SETTINGS)
    assert "does not begin with DPM_" in caught.value.hint


def test_known_empty_and_other_variables_are_no_obstacle() -> None:
    others = dict.fromkeys(_OTHER_VARIABLES, "1")
    more = {"DPM_UNKNOWN": "", "PATH": "/bin", "DPMX": "y", "MY_DPM_REPOSITORY": "z"}
    assert DataProtection.from_env({**GOOD, **others, **more}).application == "shop"


def test_a_variable_that_a_setting_names_is_known() -> None:
    settings = {**GOOD, "DPM_KEY_WRAPPER": "secret:env:DPM_SECRET secret:env:DPM_OLD_SECRET"}
    dp = DataProtection.from_env({**settings, "DPM_SECRET": "s" * 40, "DPM_OLD_SECRET": "t" * 40})
    assert dp.application == "shop"


def test_a_variable_that_an_option_of_the_command_line_names_is_known(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DPM_SECRET", "s" * 40)
    options = ["--application=shop", f"--repository={tmp_path}/keys", "--key-wrapper=secret:env:DPM_SECRET"]
    assert main(["keys", "create", *options]) == 0


def test_every_variable_that_the_project_uses_is_known() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    if not listed:
        pytest.skip("not a checkout")
    texts = [(ROOT / name).read_text("utf-8", "replace") for name in listed if "test_names" not in name]
    used = {name for text in texts for name in re.findall(r"\bDPM_[A-Z][A-Z_]*[A-Z]\b", text)}
    named = {name for text in texts for name in re.findall(r"env:(DPM_[A-Z_]+)", text)}
    known = {f"DPM_{name.upper()}" for name in SETTINGS} | set(_OTHER_VARIABLES)
    assert used - named - known == set()


# --- files and frameworks ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "hint"),
    [("repositry", "use repository"), ("key-wrapper", "use key_wrapper"), ("Application", "use application")],
)
def test_a_misspelt_name_in_a_mapping_or_file_is_refused(name: str, hint: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=f"the setting '{name}' is unknown") as caught:
        DataProtection.from_config({"application": "shop", name: None})
    assert caught.value.hint == hint
    file = tmp_path / "shop.toml"
    file.write_text(f'[data_protection]\napplication = "shop"\n"{name}" = "x"\n')
    with pytest.raises(ConfigurationError, match=f"the setting '{name}' is unknown") as caught:
        DataProtection.from_toml(file)
    assert caught.value.hint == hint


def test_a_table_inside_the_table_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "shop.toml"
    file.write_text('[data_protection]\napplication = "shop"\n[data_protection.repositories]\nx = 1\n')
    with pytest.raises(ConfigurationError, match="'repositories' is unknown") as caught:
        DataProtection.from_toml(file)
    assert caught.value.hint == "use repository"


def test_a_misspelt_name_in_flasks_configuration_is_refused() -> None:
    app = Flask("shop")
    app.config.update(DATA_PROTECTION_APPLICATION="shop", DATA_PROTECTION_REPOSITRY="memory:")
    with pytest.raises(ConfigurationError, match="the setting 'DATA_PROTECTION_REPOSITRY' is unknown") as caught:
        ProtectedSessions().init_app(app)
    assert caught.value.hint == "use DATA_PROTECTION_REPOSITORY"
