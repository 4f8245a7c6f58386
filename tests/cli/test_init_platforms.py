"""The files for systemd, Kubernetes and Compose: the platforms' own tools accept them, and their commands run.

They run against a Redis of the tests' own. Each service sees the files that its platform hands to it, and no others.
"""

from __future__ import annotations

import json
import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import check_jsonschema
import jsonschema
import kubernetes_validate
import pytest
import redis
import yaml

from dpmiddleware import DataProtection
from dpmiddleware.cli import main
from dpmiddleware.data_protection import SETTINGS
from tests.cli.generated import Service, compose_service, container, manifests, on_port, pods, unit
from tests.conftest import missing
from tests.live.serving import Site, start
from tests.servers import ROOT, Server, Unavailable, find, free_port, wait_for

PAGE = ROOT / "docs" / "deployment.md"
WRAPPERS = ("x509:", "secret:", "awskms:///alias/shop")
CLUSTER = "redis://redis:6379/0"
MATERIAL = [(wrapper, signed) for wrapper in WRAPPERS for signed in ("--signed", "--not-signed")]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, with the application of the documents, and no settings."""
    for name in SETTINGS:
        monkeypatch.delenv(f"DPM_{name.upper()}", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "app.py").write_text(block("python", "# app.py"))
    return tmp_path


def block(language: str, contains: str) -> str:
    """The code block of the page that contains a text."""
    found = re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    (text,) = [str(one) for one in found if contains in one]
    return text


def init(platform: str, *more: str, repository: str = "", application: str = "shop") -> Path:
    """Run it, and return the folder."""
    place = ("--repository", repository) if repository else ()
    assert main(["init", "conf", "--application", application, f"--{platform}", *place, *more]) == 0
    return Path("conf").absolute()


# --- systemd --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("application", ["shop", "50% of Ada's “shop”"])
@pytest.mark.parametrize("signed", ["--signed", "--not-signed"])
def test_systemd_accepts_the_units(application: str, signed: str) -> None:
    folder = init("systemd", signed, repository="store", application=application)
    units = sorted((folder / "systemd").iterdir())
    assert len(units) == 3
    told = subprocess.run(
        [program("systemd-analyze"), "verify", "--man=no", *units], capture_output=True, text=True, check=False
    )
    complaints = [line for line in told.stderr.splitlines() if str(folder.name) in line or "shop" in line]
    assert (told.returncode, complaints) == (0, [])


def test_a_unit_sets_what_the_environment_file_sets() -> None:
    folder = init("systemd", repository="store", application="50% of Ada's “shop”")
    (file,) = (folder / "systemd").glob("*-keys.service")
    assert unit(file).variables["DPM_APPLICATION"] == "50% of Ada's “shop”"


def test_the_units_run(lasting_redis: Server, home: Path) -> None:
    """The first key is there: `dpm init` created it."""
    folder = init("systemd", repository=f"{lasting_redis.address}/0")
    keys = unit(folder / "systemd" / "shop-keys.service").settle(home / "credentials-of-job")
    assert set(keys.handed) == {"keys.pem", "signer.pem"}
    for number, said in enumerate(("no key is due", "has expired")):
        told = keys.run(number)
        assert told.returncode == 0, told.stderr
        assert said in told.stdout
    web = unit(folder / "systemd" / "shop-web.service").settle(home / "credentials-of-web")
    assert set(web.handed) == {"keys.pem", "signer.pub"}
    assert_it_serves(web)


# --- Compose --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("wrapper", "signed"), MATERIAL)
def test_the_compose_file_follows_its_schema(wrapper: str, signed: str) -> None:
    schema_file = Path(check_jsonschema.__file__).parent / "builtin_schemas" / "vendor" / "compose-spec.json"
    schema = json.loads(schema_file.read_text("utf-8"))
    document = yaml.safe_load((init("compose", signed, "--key-wrapper", wrapper) / "compose.yaml").read_text("utf-8"))
    jsonschema.Draft7Validator(schema).validate(document)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(schema).validate({**document, "volums": {}})


@pytest.fixture
def redis_of_compose(home: Path) -> Iterator[str]:
    """Redis, started with the command of its service. Its URL."""
    folder = init("compose", application="5$ shop")
    services = yaml.safe_load((folder / "compose.yaml").read_text("utf-8"))["services"]
    assert {"web", "job", "redis"} < set(services)
    name, *options = services["redis"]["command"]
    port, data = free_port(), home / "data"
    data.mkdir()
    address = f"127.0.0.1:{port}"
    command = [program(name), *options, "--port", str(port), "--dir", str(data), "--bind", "127.0.0.1"]
    server = Server("redis", address, "", command, data, ready=lambda: redis.Redis(port=port).ping())
    server.start()
    yield f"redis://{address}/0"
    server.close()


def test_the_compose_services_run(redis_of_compose: str, home: Path) -> None:
    folder = home / "conf"
    first = compose_service(folder, "first-key").settle(home / "of-first", redis_of_compose)
    assert first.variables["DPM_APPLICATION"] == "5$ shop"
    created, again = first.run(), first.run()
    assert "the first key of a new ring" in created.stdout, created.stderr
    assert (created.returncode, again.returncode, again.stderr) == (0, 0, "")
    assert "the first key" not in again.stdout
    assert len(ring_of(first).manager.read().keys) == 1, "run again, it creates nothing"
    job = compose_service(folder, "job").settle(home / "of-job", redis_of_compose)
    assert set(job.handed) == {"keys.pem", "signer.pem"}
    told = job.run()
    assert re.search(r"no key is due.*has expired", told.stdout, re.DOTALL), told.stderr
    web = compose_service(folder, "web").settle(home / "of-web", redis_of_compose)
    assert set(web.handed) == {"keys.pem", "signer.pub"}
    assert_it_serves(web)


# --- Kubernetes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("wrapper", "signed"), MATERIAL)
def test_kubernetes_accepts_the_manifests(wrapper: str, signed: str) -> None:
    folder = init("kubernetes", signed, "--key-wrapper", wrapper, repository=CLUSTER)
    documents = manifests(folder)
    kinds = ["CronJob", "Deployment", "Job", "NetworkPolicy", "NetworkPolicy", "Secret", "Secret", "Service"]
    assert sorted(document["kind"] for document in documents) == kinds
    for document in documents:
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate({**documents[0], "spc": {}}, kubernetes_validate.latest_version(), strict=True)


def test_the_pods_are_what_the_documents_promise() -> None:
    folder = init("kubernetes", repository=CLUSTER)
    found = pods(manifests(folder))
    assert set(found) == {"web", "first-key", "rotate"}
    for pod in found.values():
        (volume,) = [one["secret"] for one in pod["volumes"] if "secret" in one]
        assert volume["defaultMode"] == 0o440
        assert pod["securityContext"]["fsGroup"] == pod["securityContext"]["runAsUser"] == 10001
    (web,) = found["web"]["containers"]
    assert web["readinessProbe"]["httpGet"]["path"] == "/health/ready"
    assert web["livenessProbe"]["httpGet"]["path"] == "/health/live"


PORTS = {
    (CLUSTER, "x509:"): {53, 6379},
    ("redis://redis:7000/0", "x509:"): {53, 7000},
    ("postgresql+psycopg://keys@db/shop", "x509:"): {53, 5432},
    (CLUSTER, "awskms:///alias/shop"): {53, 443, 6379},
    (CLUSTER, "openbao://bao:8200/transit/shop"): {53, 6379, 8200},
}


@pytest.mark.parametrize(("repository", "wrapper"), PORTS)
def test_the_job_reaches_the_store_and_the_key_service_only(repository: str, wrapper: str) -> None:
    folder = init("kubernetes", "--key-wrapper", wrapper, repository=repository)
    named = [one for one in manifests(folder) if one["metadata"]["name"] == "shop-keys"]
    (policy,) = [one for one in named if one["kind"] == "NetworkPolicy"]
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in policy["spec"], "nobody reaches the job"
    ports = {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]}
    assert ports == PORTS[repository, wrapper]


def test_the_pods_run(lasting_redis: Server, home: Path) -> None:
    folder, store = init("kubernetes", repository=CLUSTER), f"{lasting_redis.address}/0"
    first = container(folder, "first-key", home / "secret-of-first").settle(home / "of-first", store)
    assert first.run().returncode in {0, 1}
    assert len(ring_of(first).manager.read().keys) == 1
    assert first.run().stderr == ""
    assert len(ring_of(first).manager.read().keys) == 1, "run again, it creates nothing"
    rotate = container(folder, "rotate", home / "secret-of-rotate").settle(home / "of-rotate", store)
    assert set(rotate.handed) == {"keys.pem", "signer.pem"}
    told = rotate.run()
    assert told.returncode == 0, told.stderr
    assert re.search(r"no key is due.*has expired", told.stdout, re.DOTALL)
    web = container(folder, "web", home / "secret-of-web").settle(home / "of-web", store)
    assert set(web.handed) == {"keys.pem", "signer.pub"}
    assert_it_serves(web)


# --- the image, and the page ----------------------------------------------------------------------------------------


def test_the_image_has_two_stages_and_no_key_material() -> None:
    folder = init("compose")
    lines = (folder / "Dockerfile").read_text("utf-8").splitlines()
    assert [line.split()[0] for line in lines if line and line[0] not in "# "] == [
        *("FROM", "RUN", "COPY", "RUN"),
        *("FROM", "COPY", "COPY", "WORKDIR", "ENV", "USER", "EXPOSE", "CMD"),
    ]
    assert {"secrets", "*.env"} <= set((folder / ".dockerignore").read_text("utf-8").splitlines())
    (served,) = [line.removeprefix("CMD ") for line in lines if line.startswith("CMD ")]
    assert json.loads(served) == compose_service(folder, "web").commands[0]


COMMANDS = block("sh", "dpm init /etc/shop").splitlines()


@pytest.mark.parametrize("line", COMMANDS)
def test_the_commands_of_the_page_work(line: str, lasting_redis: Server, home: Path) -> None:
    line = line.replace("/etc/shop", str(home / "shop")).replace("redis://localhost:6379", lasting_redis.address)
    assert line.startswith("dpm ")
    assert main(line.split()[1:]) == 0


@pytest.mark.parametrize("file", ["/etc/shop/job.env", "configuration/web.env"])
def test_a_terminal_takes_the_settings_as_the_page_says(file: str, home: Path) -> None:
    folder = init("systemd", repository="store")
    lines = block("sh", f". {file}").replace(file.rpartition("/")[0], str(folder))
    assert "active, default" in Service([["sh", "-ec", lines]], {}, {}, "").settle(home / "terminal").run().stdout


@pytest.mark.parametrize("command", ["gunicorn --config", "uvicorn asgi:app"])
def test_the_servers_of_the_page_serve(command: str, home: Path) -> None:
    folder = init("systemd", repository="store")
    for file in ("gunicorn.conf.py", "asgi.py"):
        (home / file).write_text(block("python", f"# {file}"))
    web = unit(folder / "systemd" / "shop-web.service").settle(home / "of-web")
    web.commands = [block("sh", command).split()]
    assert_it_serves(web)


def test_a_page_gets_its_cookie_through_the_nginx_of_the_page(home: Path) -> None:
    folder = init("systemd", repository="store")
    web = unit(folder / "systemd" / "shop-web.service").settle(home / "of-web")

    def command(port: int, where: Path) -> list[str]:
        server = block("nginx", "location / {").replace("127.0.0.1:8000", f"127.0.0.1:{site.port}")
        (where / "nginx.conf").write_text(NGINX.format(port=port, folder=where, server=server))
        return [program("nginx"), "-p", str(where), "-c", str(where / "nginx.conf"), "-e", "stderr"]

    with serving(web) as site, start("nginx", command) as front:
        cookie = ""
        for number in (1, 2):
            request = urllib.request.Request(f"http://127.0.0.1:{front.port}/", headers={"Cookie": cookie})
            with urllib.request.urlopen(request, timeout=10) as answer:
                assert answer.read().decode() == f"visit {number}\n"
                cookie = answer.headers["Set-Cookie"].partition(";")[0]


NGINX = """\
daemon off;
pid {folder}/pid;
error_log stderr;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;
    uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
    server {{
        listen 127.0.0.1:{port};
        {server}
    }}
}}
"""


def ring_of(service: Service) -> DataProtection:
    return DataProtection.from_env(service.variables)


def program(name: str) -> str:
    try:
        return find(name)
    except Unavailable as error:
        missing(str(error))


def serving(service: Service) -> AbstractContextManager[Site]:
    """Its command, on a port of its own, in the folder of the application."""

    def command(port: int, _: Path) -> list[str]:
        return ["env", "-C", str(service.folder.parent), *on_port(service.commands[0], port)]

    return start("web", command, **service.environment())


def is_ready(site: Site) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{site.port}/health/ready", timeout=10) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError:
        return False


def assert_it_serves(service: Service) -> None:
    """Its command serves the application of the page, which is ready as soon as the ring is loaded."""
    with serving(service) as site:
        wait_for("the ring to be loaded", lambda: is_ready(site))
