"""What ``dpm init`` needs to know: told by options, or asked at a terminal."""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from dpmiddleware.cli.output import Console
from dpmiddleware.cli.presence import refuse_default_place
from dpmiddleware.cli.ring import setting
from dpmiddleware.cli.usage import UsageError
from dpmiddleware.components import repository_from, wrappers_from
from dpmiddleware.errors import ConfigurationError
from dpmiddleware.printable import printable, without_password

__all__ = ["COMPOSE_STORE", "MADE_HERE", "Answers", "answers_from"]

MADE_HERE: Final = {"x509:": "keys.pem", "secret:": "ring.key"}
"""Wrappers whose key material is created, and the file that it is in."""
COMPOSE_STORE: Final = "redis://redis:6379/0"
"""The Redis of the Compose file, by the name of its service."""
_FILE_WRAPPERS: Final = ("x509:", "secret:", "keyblob:", "dpapi:")
_SERVED: Final = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
_IMAGE: Final = re.compile(r"[a-z0-9][A-Za-z0-9._/:@-]*")


@dataclass(frozen=True)
class Answers:
    """folder: absolute. wrapper: a URL, or one of `MADE_HERE`. platform: ``""``, or the name of one.

    serves: what gunicorn serves. image: of the containers in Kubernetes.
    """

    folder: Path
    application: str
    repository: str
    wrapper: str
    signed: bool
    platform: str
    serves: str
    image: str

    @property
    def name(self) -> str:
        """The application's name as units, services and Kubernetes allow it."""
        words = re.sub(r"[^a-z0-9]+", "-", self.application.lower()).strip("-")[:40].strip("-")
        return f"app-{words}" if words[:1].isdigit() else words

    @property
    def in_cluster(self) -> bool:
        """Whether the store can be reached only from the containers."""
        return self.platform in {"compose", "kubernetes"}


def answers_from(arguments: argparse.Namespace, console: Console) -> Answers:
    """The answers. `UsageError` if one is missing and cannot be asked for, or does not fit the platform."""
    ask = _Questions(console)
    application = setting(arguments, "application") or ask.text("application name", "--application")
    repository = _repository(arguments, ask)
    wrapper = arguments.key_wrapper or ask.text("key wrapper: x509:, secret: or a key service", default="x509:")
    signed = arguments.signed if arguments.signed is not None else ask.yes("sign key documents?")
    folder = Path(arguments.folder).absolute()
    image = arguments.image or ""
    answers = Answers(
        folder, application, _absolute(repository), wrapper.strip(), signed, arguments.platform, arguments.serves, image
    )
    _refuse(answers)
    return answers


def _repository(arguments: argparse.Namespace, ask: _Questions) -> str:
    """The store. That of the Compose file is known."""
    if arguments.platform == "compose":
        return arguments.repository or COMPOSE_STORE
    given: str | None = setting(arguments, "repository")
    if given is None and not ask.possible:
        refuse_default_place()
    return given or ask.text("store of the keys, such as redis://localhost/0", "--repository")


class _Questions:
    """Asks on standard error, so that standard output has only the result."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.possible = sys.stdin.isatty()

    def text(self, question: str, option: str = "", default: str = "") -> str:
        """A line, or the default. Without a terminal: the default, else `UsageError`."""
        answer = ""
        if self.possible:
            print(f"{question}{f' [{default}]' if default else ''}: ", end="", file=sys.stderr, flush=True)
            answer = sys.stdin.readline().strip()
        if not (answer or default):
            asked = "" if self.possible else ", and standard input is not a terminal that can be asked"
            raise UsageError(f"there is no {question.partition(',')[0]}{asked}", hint=f"use {option}")
        return answer or default

    def yes(self, question: str) -> bool:
        """Yes, unless the answer begins with an n."""
        return not self.text(f"{question} y/n", default="y").lower().startswith("n")


def _absolute(repository: str) -> str:
    """A path that is the same in every working folder; a URL stays."""
    return repository if ":" in repository else str(Path(repository).absolute())


def _refuse(answers: Answers) -> None:
    """`UsageError` for answers that cannot work."""
    _refuse_unprintable(answers)
    if not answers.name:
        raise UsageError(
            f"--application {printable(answers.application)!r} has no letter or digit", hint="use a name such as shop"
        )
    if any(character.isspace() for character in str(answers.folder)):
        text = f"the folder {answers.folder} has white space, which separates several paths in a setting"
        raise UsageError(text, hint="choose another FOLDER")
    if not _SERVED.fullmatch(answers.serves):
        raise UsageError("--serves is not MODULE:NAME", hint="write --serves shop:app, as for gunicorn")
    if answers.image and not _IMAGE.fullmatch(answers.image):
        raise UsageError("--image is not the name of an image", hint="write --image registry.example/shop:1.0")
    if "@" in urlsplit(answers.repository).netloc and urlsplit(answers.repository).password:
        text = f"{without_password(answers.repository)} contains a password, which would be in every file"
        raise UsageError(text, hint="write ?password=env:NAME, or ?password= and the path of a file")
    _refuse_for_platform(answers)
    try:
        repository_from(answers.repository)
        if answers.wrapper not in MADE_HERE:
            wrappers_from(answers.wrapper)
    except ConfigurationError as error:
        raise UsageError(str(error), hint=error.hint) from error


def _refuse_unprintable(answers: Answers) -> None:
    """A line break would begin another line of a file; YAML knows more kinds of them than systemd or a shell."""
    given = {"--application": answers.application, "--repository": answers.repository, "--key-wrapper": answers.wrapper}
    for option, text in {**given, "FOLDER": str(answers.folder)}.items():
        if not text.isprintable():
            raise UsageError(
                f"{option} has a line break or another character that cannot be printed", hint=f"correct {option}"
            )


def _refuse_for_platform(answers: Answers) -> None:
    if answers.repository.startswith("memory:"):
        raise UsageError("keys in memory are lost when this command ends", hint="use --repository to name the store")
    if answers.platform and answers.wrapper not in MADE_HERE and answers.wrapper.startswith(_FILE_WRAPPERS):
        text = f"--{answers.platform} creates key material itself, and does not pass on existing files and variables"
        raise UsageError(text, hint="use --key-wrapper x509: or secret:, or a key service")
    if answers.platform == "systemd" and re.search(r"\s", answers.repository):
        text = f"the store {without_password(answers.repository)} has white space, which separates paths in a unit"
        raise UsageError(text, hint="choose another folder for the store")
    if answers.platform == "systemd" and answers.repository.startswith(("sqlite", "file:")):
        text = f"the unit of the job could not write to {without_password(answers.repository)}: it names no folder"
        raise UsageError(text, hint="use --repository with the path of a folder, or with a server")
    if answers.platform == "compose" and answers.repository != COMPOSE_STORE:
        text = "the Compose file runs a Redis of its own, which is the store"
        raise UsageError(text, hint="leave out --repository")
    if answers.platform == "kubernetes" and not urlsplit(answers.repository).netloc:
        text = f"{answers.repository} does not name a server that every pod can reach"
        raise UsageError(text, hint="use --repository with a server, such as redis://redis:6379/0")
