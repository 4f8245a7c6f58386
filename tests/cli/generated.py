"""What `dpm init` wrote, read back as its platform reads it, and run here: commands, variables, and files they may see.

A service gets the files that are handed to it, in a folder of their own, and no others.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from tests.servers import ROOT

BIN: Final = Path(sys.executable).parent


@dataclass
class Service:
    """commands: each in words. variables: as they are set there. handed: names of files. place: where they are."""

    commands: list[list[str]]
    variables: dict[str, str]
    handed: dict[str, Path]
    place: str
    folder: Path = field(default_factory=Path)

    def settle(self, folder: Path, store: str | None = None) -> Service:
        """Put the files that it may read into ``folder``, and let its settings name them; ``store``: another one."""
        folder.mkdir(parents=True)
        for name, path in self.handed.items():
            shutil.copy(path, folder / name)
        self.variables = {name: text.replace(self.place, str(folder)) for name, text in self.variables.items()}
        if store is not None:
            self.variables["DPM_REPOSITORY"] = store
        self.folder = folder
        return self

    def run(self, number: int = 0, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a command with its variables, and nothing of ours but the path of the checkout."""
        return subprocess.run(
            self.commands[number], env=self.environment(**more), capture_output=True, text=True, check=False
        )

    def environment(self, **more: str) -> dict[str, str]:
        home = {
            "HOME": str(self.folder),
            "PYTHONPATH": str(ROOT),
            "COLUMNS": "100",
            "PATH": f"{programs(self.folder)}:{os.environ['PATH']}",
        }
        return home | self.variables | more


def programs(folder: Path) -> Path:
    """A folder with the programs of an image; ``sleep`` fails, so that an endless loop ends after its first round."""
    made = folder.with_name(f"{folder.name}-bin")
    if not made.exists():
        made.mkdir()
        modules = {"dpm": "-m dpmiddleware", "gunicorn": "-m gunicorn", "uvicorn": "-m uvicorn"}
        texts = {name: f'exec "{sys.executable}" {module} "$@"' for name, module in modules.items()}
        for name, text in {**texts, "sleep": "exit 1"}.items():
            (made / name).write_text(f"#!/bin/sh\n{text}\n")
            (made / name).chmod(0o755)
    return made


def unit(path: Path) -> Service:
    """A service of systemd."""
    lines = [line.partition("=") for line in path.read_text("utf-8").splitlines() if "=" in line and line[0] != "#"]

    def all_of(name: str) -> list[str]:
        return [value for key, _, value in lines if key == name]

    unquoted = [shlex.split(one)[0].replace("%%", "\0").partition("=") for one in all_of("Environment")]
    credentials = dict(one.split(":", 1) for one in all_of("LoadCredential"))
    return Service(
        [shlex.split(one) for one in all_of("ExecStart")],
        {name: value.replace("\0", "%") for name, _, value in unquoted},
        {name: Path(file) for name, file in credentials.items()},
        "%d",
    )


def compose_service(folder: Path, name: str) -> Service:
    """A service of the Compose file."""
    document = yaml.safe_load((folder / "compose.yaml").read_text("utf-8"))
    found = document["services"][name]
    handed = {one: folder / document["secrets"][one]["file"] for one in found.get("secrets", ())}
    variables = {key: value.replace("$$", "$") for key, value in found.get("environment", {}).items()}
    return Service([found["command"]], variables, handed, "/run/secrets")


def manifests(folder: Path) -> list[dict[str, Any]]:
    """Every document for Kubernetes."""
    files = [*sorted((folder / "kubernetes").glob("*.yaml")), folder / "secrets" / "kubernetes.yaml"]
    return [document for file in files for document in yaml.safe_load_all(file.read_text("utf-8"))]


def pods(documents: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The specification of each pod, by the name of its only container."""
    found = {}
    for document in documents:
        spec = document.get("spec", {})
        spec = spec.get("jobTemplate", {}).get("spec", spec)
        pod = spec.get("template", {}).get("spec") if "template" in spec else None
        if pod is not None:
            (container,) = pod["containers"]
            found[container["name"]] = pod
    return found


def container(folder: Path, name: str, written: Path) -> Service:
    """A container of a pod, with the Secret of its volume written to files."""
    documents = manifests(folder)
    pod = pods(documents)[name]
    (found,) = pod["containers"]
    (volume,) = [one["secret"] for one in pod["volumes"] if "secret" in one]
    (secret,) = [one for one in documents if one["metadata"]["name"] == volume["secretName"]]
    written.mkdir(parents=True)
    for file, text in secret.get("stringData", {}).items():
        (written / file).write_text(text)
        (written / file).chmod(volume["defaultMode"])
    (mount,) = [one["mountPath"] for one in found["volumeMounts"] if one["name"] == "keys"]
    variables = {one["name"]: one["value"] for one in found["env"]}
    return Service([found["command"]], variables, {path.name: path for path in written.iterdir()}, mount)


def on_port(command: list[str], port: int) -> list[str]:
    """A command that serves on a port of loopback instead of 8000."""
    address = f"127.0.0.1:{port}"
    ours = {"8000": str(port), "127.0.0.1:8000": address, "0.0.0.0:8000": address}
    return [ours.get(word, word) for word in command]
