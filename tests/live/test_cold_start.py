"""Issue: a server started with a wrong certificate, an unreachable Redis or an empty reader's ring: / 200, /login 503.

The right outcome: with what docs/operations.md says for gunicorn and for ASGI, such a server does not start, and says
why; without that, its readiness probe says that it is not ready.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from dpmiddleware import DataProtection
from tests.at_rest.key_vault_double import rsa_key, self_signed
from tests.live.browser import Browser
from tests.live.serving import Ended, Site, gunicorn, uvicorn
from tests.servers import LOOPBACK, ROOT, free_port, wait_for

APP = "tests.live.apps.started"
Settings = dict[str, str]


def ring_wrapped_with_another_certificate(folder: Path) -> Settings:
    for name in ("old", "new"):
        (folder / name).mkdir()
        self_signed(folder / name, rsa_key(name, 1))
    settings = {"DPM_REPOSITORY": str(folder / "ring"), "DPM_KEY_WRAPPER": f"x509://{folder}/old/server.pem"}
    DataProtection.from_env({"DPM_APPLICATION": "shop", **settings}).start(wait=True)
    return {**settings, "DPM_KEY_WRAPPER": f"x509://{folder}/new/server.pem"}


def unreachable_redis(folder: Path) -> Settings:
    return {"DPM_REPOSITORY": f"redis://{LOOPBACK}:{free_port()}/0"}


def reader_of_an_empty_ring(folder: Path) -> Settings:
    return {"DPM_REPOSITORY": str(folder / "ring"), "DPM_AUTO_CREATE_KEYS": "false"}


CASES: dict[Callable[[Path], Settings], str] = {
    ring_wrapped_with_another_certificate: "cannot be used",
    unreachable_redis: "redis://",
    reader_of_an_empty_ring: "no key to protect with",
}
"""What a server that does not start says."""


def documented_configuration(folder: Path) -> str:
    """The file with gunicorn's settings that docs/operations.md shows."""
    page = (ROOT / "docs/operations.md").read_text("utf-8")
    match = re.search(r"```python\n(# gunicorn.conf.py\n.*?)```", page, re.DOTALL)
    assert match is not None
    path = folder / "gunicorn.conf.py"
    path.write_text(match[1].replace("from shop import", f"from {APP} import"), "utf-8")
    return str(path)


@pytest.mark.parametrize("case", CASES)
def test_gunicorn_does_not_start_without_a_ring(case: Callable[[Path], Settings], tmp_path: Path) -> None:
    settings = case(tmp_path)
    with (
        pytest.raises(Ended) as ended,
        gunicorn(f"{APP}:wsgi", "--config", documented_configuration(tmp_path), DPM_APPLICATION="shop", **settings),
    ):
        pass
    assert ended.value.status == 3  # as where the application cannot be imported
    assert CASES[case] in ended.value.log


@pytest.mark.parametrize("case", CASES)
def test_uvicorn_does_not_start_without_a_ring(case: Callable[[Path], Settings], tmp_path: Path) -> None:
    with (
        pytest.raises(Ended) as ended,
        uvicorn(f"{APP}:asgi", WAIT="yes", DPM_APPLICATION="shop", **case(tmp_path)),
    ):
        pass
    assert ended.value.status == 3
    assert CASES[case] in ended.value.log


def page(site: Site, path: str) -> tuple[int, str]:
    answer = Browser(site.port).get(path)
    return answer.status, answer.text


@pytest.mark.parametrize("case", CASES)
def test_a_server_that_does_not_wait_is_not_ready(case: Callable[[Path], Settings], tmp_path: Path) -> None:
    with gunicorn(f"{APP}:wsgi", DPM_APPLICATION="shop", **case(tmp_path)) as site:
        assert page(site, "/in")[0] == 503
        assert page(site, "/ready") == (503, "down")
        assert page(site, "/alive") == (200, "ok")


def test_a_server_starts_with_a_ring_and_a_replaced_worker_does_not_stop_it(tmp_path: Path) -> None:
    """A worker is replaced while the store is empty: the server stays, and recovers with the store."""
    ring, elsewhere = tmp_path / "ring", tmp_path / "elsewhere"
    DataProtection("shop", repository=ring).start(wait=True)
    settings = {**reader_of_an_empty_ring(tmp_path), "DPM_APPLICATION": "shop"}
    with gunicorn(f"{APP}:wsgi", "--config", documented_configuration(tmp_path), **settings) as site:
        assert page(site, "/ready") == (200, "ok")
        assert page(site, "/in")[0] == 200
        shutil.move(ring, elsewhere)
        worker = int(page(site, "/pid")[1])
        os.kill(worker, signal.SIGKILL)
        wait_for("another worker", lambda: page(site, "/pid") not in {(200, str(worker)), (0, "")})
        assert page(site, "/in")[0] == 503
        assert page(site, "/alive") == (200, "ok")
        shutil.move(elsewhere, ring)
        wait_for("the ring", lambda: page(site, "/ready") == (200, "ok"))
        assert page(site, "/in")[0] == 200
