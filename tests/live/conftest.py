"""Tests that drive applications on real web servers, over real HTTP."""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator

import pytest

from tests import servers
from tests.conftest import missing
from tests.live.serving import Site, gunicorn, uvicorn

collect_ignore_glob = ["test_*.py"] if sys.platform == "win32" else []  # gunicorn does not run there


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup() -> Generator[None, object, object]:
    """A fixture without its server: the test is not run."""
    try:
        return (yield)
    except servers.Unavailable as error:
        missing(str(error))


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call() -> Generator[None, object, object]:
    """A test without its server is not run."""
    try:
        return (yield)
    except servers.Unavailable as error:
        missing(str(error))


@pytest.fixture(scope="session")
def django_on_gunicorn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with gunicorn("tests.live.apps.django_site:wsgi", RING=str(tmp_path_factory.mktemp("ring"))) as site:
        yield site


@pytest.fixture(scope="session")
def django_on_uvicorn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with uvicorn("tests.live.apps.django_site:asgi", RING=str(tmp_path_factory.mktemp("ring"))) as site:
        yield site


@pytest.fixture(params=["gunicorn", "uvicorn"])
def django_site(request: pytest.FixtureRequest) -> Site:
    """The Django project of `tests.live.apps.django_site`, under WSGI and under ASGI."""
    site: Site = request.getfixturevalue(f"django_on_{request.param}")
    return site


@pytest.fixture(scope="session")
def redis() -> Iterator[servers.Server]:
    """A Redis that may be paused."""
    server = servers.own_redis()
    yield server
    server.close()


@pytest.fixture(scope="session")
def small_sites(tmp_path_factory: pytest.TempPathFactory, redis: servers.Server) -> Iterator[dict[str, Site]]:
    """`tests.live.apps.small_sites` on gunicorn, with one worker of one thread, and on uvicorn."""
    given = {name: str(tmp_path_factory.mktemp("ring")) for name in ("RING", "OTHER")} | {"REDIS": redis.address}
    app = "tests.live.apps.small_sites"
    with gunicorn(f"{app}:wsgi", "--timeout", "20", **given) as one, uvicorn(f"{app}:asgi", **given) as two:
        yield {"gunicorn": one, "uvicorn": two}
