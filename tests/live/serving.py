"""Real web servers in child processes, on free ports of loopback, with one of the applications of `tests.live.apps`.

    with gunicorn("tests.live.apps.shop:app", "--threads", "4", RING="/tmp/keys") as site: ...

Keyword arguments are environment variables of the server. A server is waited for by polling, up to a deadline; its
output is kept, and it is always ended, with its workers. `servers.Unavailable` if the program is not installed.
"""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Final

from tests import servers
from tests.servers import LOOPBACK, ROOT, SECONDS_TO_START, free_port, new_folder

__all__ = ["Ended", "Site", "gunicorn", "hypercorn", "nginx", "start", "uvicorn"]

SECONDS_TO_STOP: Final = 5.0
_ATTEMPTS: Final = 3
"""To start: between the choice of a port and its use another process may take it."""
_TAKEN: Final = ("already in use", "Errno 98")

Command = Callable[[int, Path], list[str]]
"""The command that serves on a port; it may write files to the folder."""


class Ended(Exception):  # noqa: N818 (what happened, which may be what a test wants)
    """A server ended by itself, or did not answer in time. ``status``: its exit status. ``log``: its output."""

    def __init__(self, what: str, status: int | None, log: str) -> None:
        super().__init__(f"{what} ended with status {status}; its output ends with:\n{log[-3000:]}")
        self.status = status
        self.log = log


class Site:
    """A running server. ``port``: where it listens on loopback."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log_file: Path) -> None:
        self.process = process
        self.port = port
        self._log_file = log_file

    def log(self) -> str:
        """The output of the server and of the application so far."""
        return self._log_file.read_text("utf-8", "replace")

    def stop(self) -> None:
        """End the server and its workers, with SIGKILL if SIGTERM is not enough."""
        with suppress(ProcessLookupError):
            self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(SECONDS_TO_STOP)
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def gunicorn(app: str, *options: str, **environment: str) -> AbstractContextManager[Site]:
    """Gunicorn with one worker of one thread, unless ``options`` say otherwise."""
    program = [servers.find("gunicorn"), app, "--graceful-timeout", "1", *options]
    return start("gunicorn", lambda port, _: [*program, "--bind", f"{LOOPBACK}:{port}"], **environment)


def uvicorn(app: str, *options: str, **environment: str) -> AbstractContextManager[Site]:
    """Uvicorn with one process."""
    program = [servers.find("uvicorn"), app, "--timeout-graceful-shutdown", "1", "--no-access-log", *options]
    return start("uvicorn", lambda port, _: [*program, "--host", LOOPBACK, "--port", str(port)], **environment)


def hypercorn(app: str, *options: str, **environment: str) -> AbstractContextManager[Site]:
    """Hypercorn with one process. A setting that has no option goes into a file: ``--config``."""
    program = [servers.find("hypercorn"), app, "--graceful-timeout", "1", *options]
    return start("hypercorn", lambda port, _: [*program, "--bind", f"{LOOPBACK}:{port}"], **environment)


def nginx(upstream: int, *directives: str) -> AbstractContextManager[Site]:
    """Nginx as a proxy in front of the server on port ``upstream``. ``directives``: added to its ``server`` block."""
    program = servers.find("nginx", "Debian's package is called nginx-light")

    def command(port: int, folder: Path) -> list[str]:
        (folder / "nginx.conf").write_text(
            _NGINX.format(port=port, upstream=upstream, folder=folder, directives="\n        ".join(directives)),
            "utf-8",
        )
        return [program, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"]

    return start("nginx", command)


_NGINX: Final = """\
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log stderr;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;
    uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://127.0.0.1:{upstream};
            proxy_set_header Host $http_host;
        }}
        {directives}
    }}
}}
"""


@contextmanager
def start(what: str, command: Command, cwd: Path = ROOT, /, **environment: str) -> Generator[Site]:
    """Start a server in ``cwd``, wait until it answers, and end it. `Ended` if it ends before that."""
    folder = new_folder(what)
    try:
        with _running(what, command, folder, cwd, environment) as site:
            yield site
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _running(what: str, command: Command, folder: Path, cwd: Path, environment: dict[str, str]) -> Generator[Site]:
    for attempt in range(_ATTEMPTS):
        port = free_port()
        log = folder / f"log-{attempt}"
        site = _started(command(port, folder), port, cwd, log, _environment(folder, environment))
        try:
            status = _wait_until_ready(site)
            if status is None:
                yield site
                return
        finally:
            site.stop()
        if not any(text in site.log() for text in _TAKEN):
            break
    raise Ended(what, site.process.returncode, site.log())


def _started(command: list[str], port: int, cwd: Path, log_file: Path, environment: dict[str, str]) -> Site:
    with log_file.open("ab") as output:
        process = subprocess.Popen(
            [*_with_the_parent(), *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=cwd,
            env=environment,
            start_new_session=True,
        )
    return Site(process, port, log_file)


def _with_the_parent() -> list[str]:
    """The beginning of a command that ends when this process does, however that ends."""
    with suppress(servers.Unavailable):
        return [servers.find("setpriv"), "--pdeathsig", "TERM"]
    return []


def _environment(folder: Path, more: dict[str, str]) -> dict[str, str]:
    """That of this process without settings of ours, with a home of its own."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("DPM_", "GUNICORN_"))}
    return {**inherited, "HOME": str(folder), "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **more}


def _wait_until_ready(site: Site) -> int | None:
    """``None`` as soon as the server answers a request, whatever it answers; its exit status if it ends."""
    deadline = time.monotonic() + SECONDS_TO_START
    while site.process.poll() is None:
        connection = http.client.HTTPConnection(LOOPBACK, site.port, timeout=SECONDS_TO_START)
        try:
            connection.request("GET", "/alive")
            connection.getresponse().read()
            return None
        except (OSError, http.client.HTTPException):
            if time.monotonic() > deadline:
                return -1
            time.sleep(0.02)
        finally:
            connection.close()
    return site.process.returncode
