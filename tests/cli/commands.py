"""The commands that have the verbs, each on the ring of one application, as functions that a test calls."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace
from typing import Final
from unittest import mock

import django
import flask
from click.testing import CliRunner
from django.core.management import CommandError, call_command
from django.test import override_settings

from dpmiddleware import under_test
from dpmiddleware.cli import main
from dpmiddleware.click_command import data_protection
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.flask import ProtectedSessions

__all__ = ["COMMANDS", "Done", "Run"]


@dataclass(frozen=True)
class Done:
    """What a command did."""

    status: int
    out: str
    messages: str


Run = Callable[[DataProtection, list[str]], Done]


def by_dpm(dp: DataProtection, words: list[str]) -> Done:
    module = ModuleType("shop_of_a_test")
    vars(module)["dp"] = dp
    out, messages = io.StringIO(), io.StringIO()
    spec = SimpleNamespace(name=module.__name__)
    vars(module)["__spec__"] = spec
    with mock.patch.dict(sys.modules, {module.__name__: module}), redirect_stdout(out), redirect_stderr(messages):
        status = main(["--app", f"{module.__name__}:dp", *words])
    return Done(status, out.getvalue(), messages.getvalue())


def by_manage(dp: DataProtection, words: list[str]) -> Done:
    out, messages, status = io.StringIO(), io.StringIO(), 0
    with in_project(dp), redirect_stdout(out), redirect_stderr(messages):
        try:
            call_command("dataprotection", *words)
        except CommandError as error:
            status = error.returncode
    return Done(status, out.getvalue(), messages.getvalue())


@contextmanager
def in_project(dp: DataProtection) -> Generator[None]:
    """A Django project that runs on this ring, as outside of tests."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.frameworks.django_site.settings")
    django.setup()
    with override_settings(DATA_PROTECTION=dp), mock.patch.object(under_test, "is_running", return_value=False):
        yield


def by_flask(dp: DataProtection, words: list[str]) -> Done:
    app = flask.Flask("shop")
    ProtectedSessions(data_protection=dp).init_app(app)
    script = SimpleNamespace(load_app=lambda: app)
    result = CliRunner().invoke(data_protection, words, obj=script, prog_name="flask")
    return Done(result.exit_code, result.stdout, result.stderr)


COMMANDS: Final[dict[str, tuple[Run, str]]] = {
    "dpm --app": (by_dpm, "dpm"),
    "manage.py": (by_manage, "manage.py dataprotection"),
    "flask": (by_flask, "flask data-protection"),
}
"""Each command, and how it is typed."""
