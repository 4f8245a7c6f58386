"""Servers for the tests that need them, and at the end of a run a list of what was used and what was skipped.

`both_ways` runs a module's tests with and without the compiled core.

Session fixtures (one server a process): `redis_server`, `postgres_server`, `mariadb_server`, `azurite_server`,
`moto_server`, `openbao_server`; `chromium` is the browser, not yet started. `own_redis` and `own_postgres` are for one
test, which may pause, flush and kill them.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import NoReturn

import pytest
from hypothesis import settings

from dpmiddleware import compiled, default_location, repeats
from dpmiddleware.web.sign_in import ticket
from tests import servers
from tests.interop.peer import ABSENT, Peer, find_peer
from tests.servers import Server, Unavailable

pytest.register_assert_rewrite("dpmiddleware.testing.contracts")

settings.register_profile("dpmiddleware", deadline=None)  # a slow machine is not a failure
settings.load_profile("dpmiddleware")

USED = pytest.StashKey[dict[str, str]]()


def missing(message: str) -> NoReturn:
    """What cannot be had is a skip, and a failure where ``DPM_REQUIRE_SERVERS=1``."""
    if os.environ.get("DPM_REQUIRE_SERVERS") == "1":
        pytest.fail(f"{message} (DPM_REQUIRE_SERVERS=1)", pytrace=False)
    pytest.skip(message)


def need(config: pytest.Config, name: str, make: Callable[[], Server]) -> Iterator[Server]:
    """Give a server and end it."""
    try:
        server = make()
    except Unavailable as error:
        missing(f"{name}: {error}")
    config.stash[USED][name] = server.used
    yield server
    server.close()


@pytest.fixture(autouse=True)
def nothing_was_logged() -> None:
    """A line of the log is the same whichever test ran before: no reason in it is *as before*."""
    repeats.forget()


@pytest.fixture(scope="session", autouse=True)
def ordinary_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Containers in which tests run are not seen: what is expected of ``dpm check`` is the same everywhere.

    What ``dpm`` remembers about rings is not kept in the home folder of the machine.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(default_location, "_PROC", tmp_path_factory.mktemp("host") / "proc")
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="session")
def compiled_core() -> ModuleType:
    """The extension that encrypts; the others are built with it."""
    core = compiled._import("crypto._cbc_hmac")
    if isinstance(core, ModuleType):
        return core
    if sys.platform == "win32":
        pytest.skip("the compiled core: there is none for Windows")
    missing(f"the compiled core: {core}; gcc, libssl-dev and a new install give it")


@pytest.fixture(scope="module", params=["compiled", "in Python"])
def both_ways(request: pytest.FixtureRequest) -> Iterator[None]:
    """Once with the compiled core, once in pure Python, whatever the environment says; by `pytestmark` for a module."""
    if request.param == "compiled":
        request.getfixturevalue("compiled_core")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DPM_PURE_PYTHON", "0" if request.param == "compiled" else "1")
        for name, function in zip(("_read_ordinary", "_write_ordinary"), ticket._compiled(), strict=True):
            patch.setattr(ticket, name, function)
        yield


@pytest.fixture(scope="session")
def redis_server(pytestconfig: pytest.Config) -> Iterator[Server]:
    yield from need(pytestconfig, "redis", servers.redis)


@pytest.fixture(scope="session")
def postgres_server(pytestconfig: pytest.Config) -> Iterator[Server]:
    yield from need(pytestconfig, "postgresql", servers.postgres)


@pytest.fixture(scope="session")
def mariadb_server(pytestconfig: pytest.Config) -> Iterator[Server]:
    yield from need(pytestconfig, "mariadb", servers.mariadb)


@pytest.fixture(scope="session")
def azurite_server(pytestconfig: pytest.Config) -> Iterator[Server]:
    yield from need(pytestconfig, "azurite", servers.azurite)


@pytest.fixture(scope="session")
def moto_server(pytestconfig: pytest.Config) -> Iterator[Server]:
    yield from need(pytestconfig, "moto", servers.moto)


@pytest.fixture(scope="session")
def openbao_server(pytestconfig: pytest.Config) -> Iterator[Server]:
    yield from need(pytestconfig, "openbao", servers.openbao)


@pytest.fixture(scope="session")
def chromium(pytestconfig: pytest.Config) -> Iterator[Server]:
    yield from need(pytestconfig, "chromium", servers.chromium)


@pytest.fixture(scope="session")
def peer() -> Iterator[Peer]:
    """A real ASP.NET Core; skips if the program is not installed."""
    if sys.platform == "win32":
        pytest.skip("the ASP.NET Core peer runs on Linux")
    program = find_peer()
    if program is None:
        pytest.skip(ABSENT)
    with Peer(program) as running:
        yield running


@pytest.fixture
def own_redis(pytestconfig: pytest.Config) -> Iterator[Server]:
    yield from need(pytestconfig, "redis (own)", servers.own_redis)


@pytest.fixture
def lasting_redis(pytestconfig: pytest.Config) -> Iterator[Server]:
    """One that keeps its data, as `dpm check` and `dpm init` want it."""
    yield from need(pytestconfig, "redis (own)", lambda: servers.own_redis("--appendonly", "yes"))


@pytest.fixture
def own_postgres(pytestconfig: pytest.Config) -> Iterator[Server]:
    yield from need(pytestconfig, "postgresql (own)", servers.own_postgres)


@pytest.fixture(scope="session")
def redis_cluster_server(pytestconfig: pytest.Config) -> Iterator[Server]:
    yield from need(pytestconfig, "redis-cluster", servers.redis_cluster)


@pytest.fixture
def redis_sentinel_server(pytestconfig: pytest.Config, own_redis: Server) -> Iterator[Server]:
    yield from need(pytestconfig, "redis-sentinel", lambda: servers.redis_sentinel(own_redis))


# --- the end of a run -----------------------------------------------------------------------------------------------


def pytest_configure(config: pytest.Config) -> None:
    config.stash[USED] = {}
    if config.pluginmanager.hasplugin("xdist"):
        config.pluginmanager.register(_FromWorkers(config), "dpmiddleware-servers-of-workers")


class _FromWorkers:
    """Under xdist the servers are the workers', and the end of the run is the controller's."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_sessionfinish(self) -> None:
        output = getattr(self._config, "workeroutput", None)
        if output is not None:
            output["servers"] = self._config.stash[USED]

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: object) -> None:
        output = getattr(node, "workeroutput", None) or {}
        self._config.stash[USED].update(output.get("servers", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    used = config.stash[USED]
    if used:
        terminalreporter.section("servers")
        for name, what in sorted(used.items()):
            terminalreporter.write_line(f"{name}: {what}")
    reasons = Counter(
        report.longrepr[2].removeprefix("Skipped: ")
        for report in terminalreporter.stats.get("skipped", [])
        if isinstance(report.longrepr, tuple)
    )
    terminalreporter.section("not run on this machine")
    for reason, count in sorted(reasons.items()):
        terminalreporter.write_line(f"{count} test{'s' if count > 1 else ''}: {reason}")
    if not reasons:
        terminalreporter.write_line("nothing was skipped")


@pytest.fixture
def exact_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Polls without jitter."""
    monkeypatch.setattr("dpmiddleware.keys.freshness.random.random", lambda: 0.0)
