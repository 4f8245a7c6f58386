"""The plugin for pytest: its fixtures, what it costs, and that an installed package brings it along."""

from __future__ import annotations

import importlib
import tomllib
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from dpmiddleware import ConfigurationError, UnprotectError
from dpmiddleware.testing import RingInMemory, StoppedClock
from tests.testing.pytest_runs import PLUGIN, ROOT, pytest_in

FIXTURES = """
from datetime import timedelta
import pytest
from dpmiddleware import ExpiredPayloadError

kept = []

@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_has_a_ring_of_its_own(ring_in_memory, turn):
    kept.append(ring_in_memory)
    assert len(set(map(id, kept))) == turn
    assert ring_in_memory.repository.location == "memory:"

def test_the_ring_is_on_the_clock(ring_in_memory, stopped_clock):
    codes = ring_in_memory.create_protector("codes").time_limited()
    code = codes.protect("1234", lifetime=timedelta(minutes=5))
    stopped_clock.advance(minutes=4)
    assert codes.unprotect(code) == "1234"
    stopped_clock.advance(minutes=2)
    with pytest.raises(ExpiredPayloadError):
        codes.unprotect(code)
"""

LOOK = """
import sys

def test_nothing_of_the_kind_is_imported():
    heavy = {"cryptography", "itsdangerous", "werkzeug", "starlette", "flask", "django", "httpx2", "anyio"}
    assert not {name.partition(".")[0] for name in sys.modules} & heavy
    ours = {name for name in sys.modules if name.startswith("dpmiddleware")}
    assert ours == %r
"""
CHEAP = {
    "dpmiddleware",
    "dpmiddleware.errors",
    "dpmiddleware.testing",
    "dpmiddleware.testing.clients",
    "dpmiddleware.testing.clock",
    "dpmiddleware.testing.plugin",
    "dpmiddleware.under_test",
}


def test_the_fixtures_are_there(tmp_path: Path) -> None:
    tmp_path.joinpath("test_shop.py").write_text(FIXTURES)
    done = pytest_in(tmp_path, *PLUGIN, "-W", "error")
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout


def test_whoever_uses_no_fixture_pays_for_no_framework(tmp_path: Path) -> None:
    tmp_path.joinpath("test_else.py").write_text(LOOK % CHEAP)
    done = pytest_in(tmp_path, *PLUGIN)
    assert done.returncode == 0, done.stdout


def test_an_installed_package_brings_its_plugin() -> None:
    project = tomllib.loads(ROOT.joinpath("pyproject.toml").read_text("utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {"dpmiddleware": "dpmiddleware.testing.plugin"}
    module = importlib.import_module(project["entry-points"]["pytest11"]["dpmiddleware"])
    assert {"ring_in_memory", "stopped_clock"} <= set(vars(module))


def test_the_plugin_can_be_named_by_a_conftest_too(tmp_path: Path) -> None:
    tmp_path.joinpath("conftest.py").write_text('pytest_plugins = ["dpmiddleware.testing.plugin"]\n')
    tmp_path.joinpath("test_shop.py").write_text(FIXTURES)
    done = pytest_in(tmp_path)
    assert done.returncode == 0, done.stdout


def test_assertions_of_the_contracts_are_explained(tmp_path: Path) -> None:
    """As those of tests are: pytest rewrites them."""
    tmp_path.joinpath("test_store.py").write_text(
        "import pytest\n"
        "from dpmiddleware.testing.contracts import TicketStoreContract\n"
        "from dpmiddleware.web.sign_in.ticket_store import MemoryTicketStore\n"
        "class Forgetful(MemoryTicketStore):\n"
        "    def get(self, name): return None\n"
        "class TestForgetful(TicketStoreContract):\n"
        "    @pytest.fixture\n"
        "    def store(self): return Forgetful()\n"
    )
    done = pytest_in(tmp_path, *PLUGIN)
    assert done.returncode == 1
    assert "assert None == b'two'" in done.stdout


# --- the ring and the clock -------------------------------------------------------------------------------------------


def test_a_ring_in_memory_sees_a_revocation_after_one_poll() -> None:
    """No thread runs: what a test has done is seen at the next look."""
    clock = StoppedClock()
    dp = RingInMemory("shop", clock=clock)
    token = dp.create_protector("x").protect("1")
    dp.manager.revoke(dp.current().protecting_key().id, reason="stolen")
    clock.advance(seconds=10)
    with pytest.raises(UnprotectError):
        dp.create_protector("x").unprotect(token)


def test_a_ring_in_memory_reads_nothing_of_where_the_real_one_is(tmp_path: Path) -> None:
    settings = {
        "application": "shop",
        "repository": str(tmp_path / "keys"),
        "key_wrapper": "secret:env:NOT_SET_HERE",
        "signer": f"ed25519://{tmp_path}/none.pem",
        "trusted_signers": f"{tmp_path}/none.pem",
        "auto_create_keys": False,
    }
    dp = RingInMemory.from_config(settings)
    assert dp.create_protector("x").unprotect(dp.create_protector("x").protect("1")) == "1"
    assert dp.application == "shop"
    assert not list(tmp_path.iterdir())


def test_a_ring_in_memory_is_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    RingInMemory().create_protector("x").protect("1")
    assert [record.getMessage() for record in caplog.records if record.levelname != "INFO"] == []


def test_a_ring_like_another_has_its_name_clock_and_policy() -> None:
    other = RingInMemory("shop", ring="shops", clock=StoppedClock())
    like = RingInMemory.like(other)
    assert (like.application, like.ring, like.clock, like.policy) == ("shop", "shops", other.clock, other.policy)
    with pytest.raises(UnprotectError):
        like.create_protector("x").unprotect(other.create_protector("x").protect("1"))


def test_a_stopped_clock_moves_when_it_is_told_to() -> None:
    clock = StoppedClock(datetime(2030, 1, 1, tzinfo=timezone.utc))
    before = clock.monotonic()
    clock.advance(days=1)
    assert clock.now() == datetime(2030, 1, 2, tzinfo=timezone.utc)
    assert clock.monotonic() - before == 24 * 3600
    clock.jump(hours=-1)
    assert clock.now() == datetime(2030, 1, 1, 23, tzinfo=timezone.utc)
    assert clock.monotonic() - before == 24 * 3600
    assert abs(StoppedClock().now() - datetime.now(timezone.utc)) < timedelta(minutes=5)


def test_a_clock_without_a_time_zone_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="2030-01-01 00:00:00 has no time zone"):
        StoppedClock(datetime(2030, 1, 1))  # noqa: DTZ001 (that is what is refused)
