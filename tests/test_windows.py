"""Runs the tests of what is specific to Windows, and of the core, under a Python for Windows, through Wine if present.

On Windows itself there is nothing to do here: ``pytest`` runs these files directly. The packages for it (wheels for
Windows, with pytest) are in ``.servers/windows-packages``, or in the folder in ``DPM_WINDOWS_PACKAGES``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from base64 import b64decode, b64encode
from pathlib import Path

import pytest

from tests.interop.peer import Peer
from tests.windows import CHECKOUT, WindowsPython, find_windows_python

SUITES = {
    "DPAPI and where keys live": ["tests/at_rest/test_dpapi.py", "tests/default_location/test_windows_account.py"],
    "the registry and folders": [
        "tests/repositories/test_windows_registry.py",
        "tests/repositories/test_windows_files.py",
    ],
}
LONG_SUITES = {
    "certificates and signatures": ["tests/keys/test_signature.py", "tests/at_rest/test_x509.py"],
    "the core and its vectors": [
        "tests/crypto",
        "tests/protection/test_payload.py",
        "tests/protection/test_protector.py",
        "tests/interop/test_vectors_known_answers.py",
        "tests/interop/test_vectors_rings.py",
    ],
}
CASES = [pytest.param(files, id=name) for name, files in SUITES.items()]
CASES += [pytest.param(files, id=name, marks=pytest.mark.soak) for name, files in LONG_SUITES.items()]
ABSENT = "no packages for a Python on Windows in .servers/windows-packages: make windows-packages"
RING_SCRIPT = CHECKOUT / "tests" / "at_rest" / "windows_ring.py"
HOME_SCRIPT = CHECKOUT / "tests" / "default_location" / "windows_home.py"
pytestmark = [pytest.mark.skipif(sys.platform == "win32", reason="they run directly"), pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry for this run."""
    return tmp_path_factory.mktemp("wine") / "prefix"


@pytest.fixture
def packages() -> str:
    """The value of ``PYTHONPATH`` there."""
    find_windows_python()
    folder = Path(os.environ.get("DPM_WINDOWS_PACKAGES") or CHECKOUT / ".servers" / "windows-packages")
    if not (folder / "pytest").is_dir():
        pytest.skip(ABSENT)
    return f"{folder}:{CHECKOUT}"


@pytest.mark.parametrize("files", CASES)
def test_it_passes_under_windows(files: list[str], prefix: Path, packages: str) -> None:
    done = subprocess.run(
        [*find_windows_python(), "-m", "pytest", "-q", "-p", "no:cacheprovider", *files],
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        timeout=600,
        cwd=CHECKOUT,
        env={**os.environ, "WINDOWS_PYTHON_PREFIX": str(prefix), "PYTHONPATH": packages},
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-4000:]
    assert " passed" in done.stdout


@pytest.fixture
def dotnet() -> str:
    """The real ASP.NET Core, for Windows."""
    program = CHECKOUT.parent / "shared" / "aspnet-peer" / "run-windows"
    if not os.access(program, os.X_OK):
        pytest.skip("the ASP.NET Core peer for Windows is not present in a sibling folder shared/aspnet-peer")
    return str(program)


@pytest.mark.parametrize(("hive", "scope"), [("HKCU", "user"), ("HKLM", "machine")])
def test_a_ring_in_the_registry_is_shared_with_dotnet(
    hive: str, scope: str, prefix: Path, packages: str, dotnet: str
) -> None:
    """The real ASP.NET Core for Windows and we share a registry and a DPAPI user; keys of both are used."""
    python = WindowsPython(prefix)
    path = f"Software\\dpmiddleware-test\\shared-{scope}"
    question = {
        "url": f"registry://{hive}/" + path.replace("\\", "/"),
        "wrapper": f"dpapi:{scope}",
        "application": "shop",
        "purpose": "cart",
        "payload": "",
    }
    store = {"kind": "registry", "hive": hive, "path": path}
    ours = python.ask(RING_SCRIPT, question, PYTHONPATH=packages)
    with Peer(dotnet, WINDOWS_PYTHON_PREFIX=str(prefix)) as peer:
        theirs = peer.open(store, app="shop", dpapi=scope)
        assert theirs.unprotect(b64decode(ours["payload"]), "cart") == b"3 pears"
        theirs.ask("key.create", activation="2026-01-01T00:00:00Z", expiration="2099-01-01T00:00:00Z")
        fresh = peer.open(store, app="shop", dpapi=scope)
        payload = fresh.protect(b"3 apples", "cart")
    answer = python.ask(RING_SCRIPT, {**question, "payload": b64encode(payload).decode()}, PYTHONPATH=packages)
    assert b64decode(answer["plaintext"]) == b"3 apples"
    assert set(answer["types"]) == {"Microsoft.AspNetCore.DataProtection.XmlEncryption.DpapiXmlDecryptor"}
    assert len(answer["types"]) == 2


def test_under_iis_without_a_profile_keys_live_where_dotnet_keeps_them(
    tmp_path: Path, packages: str, dotnet: str
) -> None:
    """The registry key that IIS creates, DPAPI of the machine; what .NET protects there is opened."""
    prefix = tmp_path / "prefix"
    python = WindowsPython(prefix)
    prepared = python.ask(HOME_SCRIPT, {"prepare": True}, PYTHONPATH=packages)
    environment = {**os.environ, "WINDOWS_PYTHON_PREFIX": str(prefix)}
    theirs = subprocess.run(
        [dotnet, "hosting"], capture_output=True, text=True, timeout=120, env=environment, check=True
    )
    chosen = json.loads(theirs.stdout)
    assert (chosen["repository"], chosen["encryptor"]) == ("RegistryXmlRepository", "DpapiXmlEncryptor")
    path = f"SOFTWARE\\Microsoft\\ASP.NET\\4.0.30319.0\\AutoGenKeys\\{prepared['sid']}\\DataProtection"
    with Peer(dotnet, WINDOWS_PYTHON_PREFIX=str(prefix)) as peer:
        ring = peer.open({"kind": "registry", "hive": "HKLM", "path": path}, app="shop", dpapi="machine")
        assert len(ring.list_keys()) == chosen["keys"] == 1
        payload = ring.protect(b"3 apples", "cart")
    question = {"application": "shop", "purpose": "cart", "payload": b64encode(payload).decode()}
    ours = python.ask(HOME_SCRIPT, question, PYTHONPATH=packages)
    assert (ours["kind"], ours["wrapper"]) == ("registry of IIS", "dpapi:machine")
    assert ours["repository"] == "registry://HKLM/" + path.replace("\\", "/")
    assert b64decode(ours["plaintext"]) == b"3 apples"
