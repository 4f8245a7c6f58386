"""The files of each platform, and how a template becomes one.

A template is the file as it will be, with names such as ``@{application}`` (`dpmiddleware.cli.init.values`). A line
with a name that has no value is left out: without a signer, there is no ``DPM_SIGNER``.
"""

from __future__ import annotations

import json
import re
import shlex
import string
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dpmiddleware.cli.init import material
from dpmiddleware.cli.init.answers import Answers
from dpmiddleware.cli.init.new_files import NewFile
from dpmiddleware.cli.init.values import file_of_wrapper, values_of

__all__ = ["PLATFORMS", "Platform", "files_of", "next_steps", "variables_of"]

_FOLDER: Final = Path(__file__).parent / "templates"
_NAME: Final = re.compile(r"@\{(\w+)\}")
_SECRET: Final = 0o600


@dataclass(frozen=True)
class Platform:
    """help_text: of its option. files: name of each file, which may contain the application's, and its template."""

    help_text: str
    files: Mapping[str, str]


_IMAGE: Final = {"Dockerfile": "Dockerfile", ".dockerignore": "dockerignore"}
PLATFORMS: Final[Mapping[str, Platform]] = {
    "": Platform("", {}),
    "systemd": Platform(
        "write units: the application, and a timer for the job that creates and removes keys",
        {
            "systemd/@{name}-web.service": "systemd/web.service",
            "systemd/@{name}-keys.service": "systemd/keys.service",
            "systemd/@{name}-keys.timer": "systemd/keys.timer",
        },
    ),
    "kubernetes": Platform(
        "write a Deployment, a Job for the first key, a CronJob, NetworkPolicies and a Dockerfile",
        {
            "kubernetes/web.yaml": "kubernetes/web.yaml",
            "kubernetes/keys.yaml": "kubernetes/keys.yaml",
            "kubernetes/network.yaml": "kubernetes/network.yaml",
            **_IMAGE,
        },
    ),
    "compose": Platform(
        "write a Compose file with the application, the job and a Redis, and a Dockerfile",
        {"compose.yaml": "compose/compose.yaml", **_IMAGE},
    ),
}


class _Template(string.Template):
    delimiter = "@"


def _filled(text: str, values: Mapping[str, str | None]) -> str:
    """A template with its values; lines that have none are left out. ``KeyError`` for an unknown name."""
    lines = [
        line for line in text.splitlines(keepends=True) if all(values[name] is not None for name in _NAME.findall(line))
    ]
    return _Template("".join(lines)).substitute({name: value for name, value in values.items() if value is not None})


def _file(name: str, template: str, answers: Answers, kind: str, **more: str | None) -> NewFile:
    values = values_of(answers, kind) | more
    return NewFile(_filled(name, values), _filled((_FOLDER / template).read_text("utf-8"), values))


def files_of(answers: Answers) -> list[NewFile]:
    """Every file of a configuration, with new key material."""
    platform = PLATFORMS[answers.platform]
    found = [_file(f"{role}.env", f"{role}.env", answers, "env") for role in ("web", "job")]
    found += [_file(name, template, answers, answers.platform) for name, template in platform.files.items()]
    secrets = _key_material(answers)
    found += [NewFile(f"secrets/{name}", text, 0o644 if name == "signer.pub" else _SECRET) for name, text in secrets]
    if answers.platform == "kubernetes":
        found.append(_secrets_of_kubernetes(answers, dict(secrets)))
    if secrets:
        found.append(NewFile("secrets/.gitignore", "*\n"))
    return found


def _secrets_of_kubernetes(answers: Answers, texts: Mapping[str, str]) -> NewFile:
    """Key material as two Secrets, so that the signer's key is only in the job."""
    named = {"material": file_of_wrapper(answers) or "", "signer": "signer.pem", "public": "signer.pub"}
    values = {f"{name}_text": json.dumps(texts[file]) if file in texts else None for name, file in named.items()}
    made = _file("secrets/kubernetes.yaml", "kubernetes/secrets.yaml", answers, "kubernetes", **values)
    return NewFile(made.name, made.text, _SECRET)


def _key_material(answers: Answers) -> list[tuple[str, str]]:
    """Names and contents."""
    made: list[tuple[str, str]] = []
    file = file_of_wrapper(answers)
    if file is not None:
        text = material.certificate(answers.application) if answers.wrapper == "x509:" else material.secret()
        made.append((file, text))
    if answers.signed:
        private, public = material.signer()
        made += [("signer.pem", private), ("signer.pub", public)]
    return made


def next_steps(answers: Answers) -> list[str]:
    """What to do after ``dpm init``."""
    template = f"{answers.platform}/next.txt" if answers.platform else "next.txt"
    return _file("next", template, answers, "env").text.splitlines()


def variables_of(answers: Answers, role: str) -> dict[str, str]:
    """The variables that ``web.env`` or ``job.env`` sets."""
    lines = _file("env", f"{role}.env", answers, "env").text.splitlines()
    words = [shlex.split(line, comments=True) for line in lines]
    return dict(word.split("=", 1) for line in words for word in line)
