"""The policy of a ring beside the other verbs: what ``check`` finds, and what copies and backups take along."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from dpmiddleware import DataProtection, RotationPolicy
from dpmiddleware.cli import main
from dpmiddleware.settings import SETTINGS

POLICY = RotationPolicy(lifetime=timedelta(days=30), poll=timedelta(seconds=5))


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variables of the machine; a ring in ``keys`` that has a policy."""
    for name in SETTINGS:
        monkeypatch.delenv(f"DPM_{name.upper()}", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DPM_APPLICATION", "shop")
    monkeypatch.setenv("DPM_REPOSITORY", "keys")
    assert main(["keys", "create"]) == 0
    assert main(["keys", "policy", "set", "--lifetime", "30d", "--poll", "5s", "--yes"]) == 0


def findings(capsys: pytest.CaptureFixture[str], *options: str) -> list[dict[str, Any]]:
    """What ``dpm check`` finds about the policy."""
    capsys.readouterr()
    main(["check", "--json", *options])
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["findings"]
    return [finding for finding in found if finding["code"] == "policy_differs"]


def test_settings_that_differ_are_a_finding_that_names_both_values(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DPM_LIFETIME", "60d")
    [finding] = findings(capsys, "--poll", "5s")
    assert finding["level"] == "note", "the ring's policy counts, so nothing is lost"
    assert finding["text"] == "lifetime is 60d in these settings, but 30d in the policy of the ring, which counts"
    assert "DPM_LIFETIME" in finding["hint"]


def test_settings_that_agree_and_settings_that_are_not_stated_are_no_finding(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert findings(capsys) == []
    assert findings(capsys, "--lifetime", "30d", "--poll", "5000ms") == []


def test_a_ring_without_a_policy_has_no_such_finding(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "policy", "remove", "--yes"]) == 0
    assert findings(capsys, "--lifetime", "60d") == []


STORES = {"a folder": "copy", "a database": "sqlite:///copy.db"}


@pytest.mark.parametrize("store", STORES)
def test_a_copy_and_a_backup_of_a_ring_have_its_policy(store: str) -> None:
    url = STORES[store]
    assert main(["keys", "copy", "--to", url]) == 0
    assert main(["keys", "export", "--in-clear", "--output", "ring.xml"]) == 0
    assert main(["keys", "import", "ring.xml", "--repository", "restored"]) == 0
    for place in (url, "restored"):
        assert DataProtection("shop", repository=place).current().policy == POLICY


def test_a_verb_that_revokes_promises_the_seconds_of_the_ring(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DPM_POLL", "30s")
    assert main(["keys", "revoke-all", "--yes"]) == 0
    assert "effective in every member within 5 s" in capsys.readouterr().out


def test_a_key_that_is_created_by_hand_lives_as_long_as_it_says_or_as_the_ring_says() -> None:
    assert main(["keys", "create", "--now"]) == 0
    assert main(["keys", "create", "--now", "--lifetime", "45d"]) == 0
    lifetimes = {
        key.expiration_date.since(key.activation_date) // timedelta(days=1)
        for key in DataProtection("shop", repository="keys").manager.read().keys
    }
    assert lifetimes == {90, 30, 45}
