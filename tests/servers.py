"""Real servers for the tests: one that is running already, else one that is started here, on loopback, and ended again.

`Unavailable` says in one sentence why there is none; `tests/conftest.py` makes a skip of it, or, where
``DPM_REQUIRE_SERVERS=1`` is set, a failure.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
LOOPBACK: Final = "127.0.0.1"
SECONDS_TO_START: Final = 60.0
AZURITE_KEY: Final = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The well-known key of every Azurite; not a secret."""


class Unavailable(Exception):  # noqa: N818 (an answer, not a fault)
    """This server cannot be had on this machine; the message says why."""


@dataclass
class Server:
    """A server to test against.

    address: its URL or ``host:port``. used: what it is, for the end of the run. The rest only for one of our own.
    """

    name: str
    address: str
    used: str
    command: list[str] = field(default_factory=list)
    folder: Path | None = None
    process: subprocess.Popen[bytes] | None = None
    ready: Callable[[], object] = lambda: None
    stop_signal: signal.Signals = signal.SIGTERM

    def start(self) -> None:
        """Start it (again) and wait until it answers."""
        assert self.folder is not None
        log = self.folder / "log"
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=self.folder
            )
        deadline = time.monotonic() + SECONDS_TO_START
        while True:
            try:
                self.ready()
                return
            except Exception as error:
                gone = self.process.poll() is not None
                if gone or time.monotonic() > deadline:
                    last = log.read_text("utf-8", "replace").strip().splitlines()[-1:]
                    self.close()
                    raise Unavailable(f"{self.command[0]} does not start: {' '.join(last) or error}") from error
                time.sleep(0.02)

    @contextmanager
    def paused(self) -> Generator[None]:
        """Inside, the server accepts connections and answers nothing: it and its child processes are stopped.

        PostgreSQL has one process per connection.
        """
        assert self.process is not None, "only a server of our own can be paused"
        listed = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(self.process.pid)], stdout=subprocess.PIPE, check=False
        )
        stopped = [self.process.pid, *map(int, listed.stdout.split())]
        for number in stopped:
            os.kill(number, signal.SIGSTOP)
        try:
            yield
        finally:
            for number in stopped:
                os.kill(number, signal.SIGCONT)

    def stop(self) -> None:
        """End it in good order; `start` starts it again."""
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(self.stop_signal)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()
            self.process = None

    def kill(self) -> None:
        """End it at once; `start` starts it again with what it had on its disk."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def close(self) -> None:
        """End it and take its files away; nothing where it was running already."""
        self.stop()
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


# --- one function a server ------------------------------------------------------------------------------------------


def redis() -> Server:
    """The Redis on port 6379, else one of our own. ``address``: ``redis://host:port``."""
    return _running("redis", "127.0.0.1:6379", "redis://127.0.0.1:6379", _redis_version) or own_redis()


def own_redis(*options: str) -> Server:
    """A Redis that no other test uses: it may be paused, flushed, killed and started again.

    options: of ``redis-server``; by default it keeps nothing on disk.
    """
    program, port, folder = find("redis-server"), free_port(), new_folder("redis")
    command = [
        program,
        "--port",
        str(port),
        "--bind",
        LOOPBACK,
        "--save",
        "",
        "--appendonly",
        "no",
        "--dir",
        str(folder),
        *options,
    ]
    return _started(
        "redis", f"redis://{LOOPBACK}:{port}", command, folder, lambda: _redis_version(f"{LOOPBACK}:{port}")
    )


def redis_cluster() -> Server:
    """One Redis that is a whole cluster: it serves all slots."""
    program, port, folder = (
        find("redis-server"),
        free_port(upto=55_000),
        new_folder("redis-cluster"),
    )  # bus: port + 10000
    command = [program, "--port", str(port), "--bind", LOOPBACK, "--save", "", "--dir", str(folder)]
    command += ["--cluster-enabled", "yes", "--cluster-announce-ip", LOOPBACK]
    address = f"{LOOPBACK}:{port}"
    server = _started("redis-cluster", f"redis://{address}", command, folder, lambda: _redis_version(address))
    _ask(address, b"CLUSTER ADDSLOTSRANGE 0 16383\r\n")
    wait_for("the cluster to be of one mind", lambda: b"cluster_state:ok" in _ask(address, b"CLUSTER INFO\r\n", 4096))
    return server


def redis_sentinel(master: Server) -> Server:
    """A Sentinel that watches ``master`` under the name ``keys``."""
    program, port, folder = find("redis-server"), free_port(), new_folder("sentinel")
    _, _, master_port = master.address.rpartition(":")
    (folder / "sentinel.conf").write_text(
        f"port {port}\nbind {LOOPBACK}\nsentinel monitor keys {LOOPBACK} {master_port} 1\n", "utf-8"
    )
    command = [program, str(folder / "sentinel.conf"), "--sentinel"]
    address = f"{LOOPBACK}:{port}"
    return _started("redis-sentinel", address, command, folder, lambda: _redis_version(address))


def postgres() -> Server:
    """The PostgreSQL on port 5432 where ``postgres`` needs no password, else one of our own. An SQLAlchemy URL."""
    with suppress(Exception):
        return Server(
            "postgresql", f"postgresql+psycopg://postgres@{LOOPBACK}:5432/", f"{_postgres_version(5432)}, running"
        )
    return own_postgres()


def own_postgres() -> Server:
    """A PostgreSQL that no other test uses."""
    port, folder = free_port(), new_folder("postgresql")
    as_user = _as_user("postgres", folder)
    data = folder / "data"
    _run([*as_user, find("initdb"), "-D", str(data), "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8"])
    command = [*as_user, find("postgres"), "-D", str(data), "-F", "-p", str(port), "-h", LOOPBACK, "-k", ""]
    address = f"postgresql+psycopg://postgres@{LOOPBACK}:{port}/"
    server = _started("postgresql", address, command, folder, lambda: _postgres_version(port))
    server.stop_signal = signal.SIGINT  # without waiting for its clients
    return server


def mariadb() -> Server:
    """The MariaDB on port 3306 where ``root`` needs no password, else one of our own. An SQLAlchemy URL."""
    with suppress(Exception):
        return Server("mariadb", f"mysql+pymysql://root@{LOOPBACK}:3306/", f"{_mariadb_version(3306)}, running")
    port, folder = free_port(), new_folder("mariadb")
    data = folder / "data"
    as_root = ["--user=root"] if os.geteuid() == 0 else []
    place = [f"--datadir={data}", *as_root]
    _run([find("mariadb-install-db"), "--no-defaults", *place, "--auth-root-authentication-method=normal"])
    command = [find("mariadbd"), "--no-defaults", *place, f"--port={port}", f"--bind-address={LOOPBACK}"]
    command += [f"--socket={folder}/s", f"--pid-file={folder}/pid", "--innodb-flush-log-at-trx-commit=0"]
    return _started(
        "mariadb", f"mysql+pymysql://root@{LOOPBACK}:{port}/", command, folder, lambda: _mariadb_version(port)
    )


def azurite() -> Server:
    """Azurite's blob service, in memory. ``address``: ``http://host:port``, below which accounts are folders."""
    port, folder = free_port(), new_folder("azurite")
    command = [find("azurite-blob", "`make servers` installs it"), "--blobHost", LOOPBACK, "--blobPort", str(port)]
    command += ["--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--silent"]
    return _started("azurite", f"http://{LOOPBACK}:{port}", command, folder, lambda: _http_answers(port))


def moto() -> Server:
    """Moto's server: S3 and KMS. ``address``: ``http://host:port``."""
    port, folder = free_port(), new_folder("moto")
    command = [sys.executable, "-m", "moto.server", "-H", LOOPBACK, "-p", str(port)]
    return _started("moto", f"http://{LOOPBACK}:{port}", command, folder, lambda: _http_answers(port))


def openbao() -> Server:
    """OpenBao in its development mode. ``address``: ``http://host:port``; the token is ``root``."""
    port, folder = free_port(), new_folder("openbao")
    command = [find("bao"), "server", "-dev", "-dev-no-store-token", "-dev-root-token-id=root"]
    command += [f"-dev-listen-address={LOOPBACK}:{port}"]
    return _started("openbao", f"http://{LOOPBACK}:{port}", command, folder, lambda: _http_answers(port))


def chromium() -> Server:
    """The browser, for Playwright to start. ``address``: the path of its program."""
    try:
        import playwright.sync_api  # noqa: F401 (only whether it is there)
    except ImportError as error:
        raise Unavailable("playwright is not installed") from error
    program = find("chromium", "Debian's package is called chromium")
    asked = subprocess.run(
        [program, "--version"], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    if asked.returncode:
        raise Unavailable(f"{program} does not start: {asked.stderr.strip()[-200:]}")
    return Server("chromium", program, " ".join(asked.stdout.split()[:2]).lower())


# --- tools ----------------------------------------------------------------------------------------------------------


def find(program: str, hint: str = "it is not installed") -> str:
    """The path of a program: beside this Python, from `make servers`, on the path, where Debian puts servers."""
    places = [Path(sys.executable).parent, ROOT / ".servers/node_modules/.bin"]
    places += [Path(place) for place in os.environ.get("PATH", "").split(os.pathsep) if place]
    places += [Path("/usr/sbin"), *sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    found = shutil.which(program, path=os.pathsep.join(map(str, places)))
    if found is None:
        raise Unavailable(f"no {program} on this machine: {hint}")
    return found


def free_port(upto: int = 65_535) -> int:
    """A port of loopback that nobody listens on at this moment."""
    while True:
        with socket.socket() as probe:
            probe.bind((LOOPBACK, 0))
            port: int = probe.getsockname()[1]
            if port <= upto:
                return port


def new_folder(name: str) -> Path:
    """A folder for a server's files; the path is short, as a Unix socket may be in it."""
    folder = Path(tempfile.mkdtemp(prefix=f"dpm-{name}-"))
    folder.chmod(0o755)
    return folder


def wait_for(what: str, condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Poll until ``condition`` holds; ``AssertionError`` after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited too long for {what}"
        time.sleep(0.01)


def _started(name: str, address: str, command: list[str], folder: Path, ready: Callable[[], object]) -> Server:
    server = Server(name, address, "", command, folder, None, ready)
    server.start()
    answer = ready()
    server.used = f"{answer if isinstance(answer, str) else name}, started here"
    return server


def _running(name: str, host_port: str, address: str, version: Callable[[str], str]) -> Server | None:
    with suppress(Exception):
        return Server(name, address, f"{version(host_port)}, running")
    return None


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, cwd="/", check=False)
    if done.returncode:
        last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        raise Unavailable(f"{command[0]} failed: {' '.join(last)}")


def _as_user(user: str, folder: Path) -> list[str]:
    """The beginning of a command for a server that refuses to run as root."""
    if os.geteuid() != 0:
        return []
    try:
        shutil.chown(folder, user)
    except LookupError as error:
        raise Unavailable(f"it does not run as root, and there is no user {user}") from error
    return [find("setpriv"), f"--reuid={user}", f"--regid={user}", "--clear-groups"]


def _ask(address: str, question: bytes, size: int = 64) -> bytes:
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=2) as connection:
        connection.sendall(question)
        return connection.recv(size)


def _redis_version(address: str) -> str:
    answer = _ask(address, b"INFO server\r\n", 4096)
    return "redis " + answer.partition(b"redis_version:")[2].split()[0].decode()


def _postgres_version(port: int) -> str:
    try:
        import psycopg
    except ImportError as error:
        raise Unavailable("psycopg is not installed") from error
    with psycopg.connect(f"host={LOOPBACK} port={port} user=postgres dbname=postgres connect_timeout=2") as connection:
        number = connection.info.server_version
    return f"postgresql {number // 10000}.{number % 10000}"


def _mariadb_version(port: int) -> str:
    try:
        import pymysql
    except ImportError as error:
        raise Unavailable("pymysql is not installed") from error
    connection = pymysql.connect(host=LOOPBACK, port=port, user="root", connect_timeout=2)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT VERSION()")
            return f"mariadb {(cursor.fetchone() or [''])[0]}"
    finally:
        connection.close()


def _http_answers(port: int) -> None:
    """Any answer will do: a refusal comes from a server that is up."""
    with suppress(urllib.error.HTTPError):
        urllib.request.urlopen(f"http://{LOOPBACK}:{port}/", timeout=2).close()
