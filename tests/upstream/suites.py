"""The test suites of other projects, and how each is run: once with what it comes with, once with ours in place."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

__all__ = ["HERE", "SUITES", "Suite"]

HERE = Path(__file__).parent
FRAMEWORKS_PAGE = HERE.parents[1] / "docs" / "compatibility.md"
"""Lists what differs in the frameworks, which users of this package read."""

Arguments = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Suite:
    """The tests of one project.

    name: the distribution on PyPI
    theirs: arguments of Python for the run with what the project comes with
    ours: arguments of Python for the run with ours in place
    folder: where Python is started, below the unpacked source distribution
    environment: the file below ``pins`` (without ``.txt``) with the packages to install; by default the name
    repository: where the tests come from if the source distribution has none; the tag is ``tag``
    tag: the tag in ``repository``; it belongs to the version that the pins name
    listed_in: the document that lists the differences; by default a file below ``differences``
    """

    name: str
    theirs: Arguments
    ours: Arguments
    folder: str = "."
    environment: str = ""
    repository: str = ""
    tag: str = ""
    listed_in: Path | None = None

    @property
    def pins(self) -> Path:
        """The exact version of each package that the suite runs with."""
        return HERE / "pins" / f"{self.environment or self.name}.txt"

    @property
    def list(self) -> Path:
        """The document that lists the differences."""
        return self.listed_in or HERE / "differences" / f"{self.name}.md"

    @property
    def version(self) -> str:
        """The pinned version of the project itself."""
        for line in self.pins.read_text("utf-8").splitlines():
            name, _, version = line.partition("==")
            if name.lower().replace("_", "-") == self.name:
                return version
        raise LookupError(f"{self.pins} does not name {self.name}")


def _pytest(*arguments: str, plugin: str = "") -> Arguments:
    """Run pytest with the recording plugin; ``plugin`` changes what the tests use."""
    plugins = ("-p", "recording", *(("-p", plugin) if plugin else ()))
    return ("-m", "pytest", "-q", "--tb=short", "-p", "no:xdist", *plugins, *arguments)


_UNCONFIGURED = ("-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", ".")
"""Without a configuration file; pytest would look for one in the folders above, and find ours."""


def _framework(name: str, plugin: str, *selected: str) -> Suite:
    """Run some tests of a framework, without the pytest options of its developers."""
    return Suite(
        name=name,
        theirs=_pytest(*_UNCONFIGURED, *selected),
        ours=_pytest(*_UNCONFIGURED, *selected, plugin=plugin),
        environment="frameworks",
        listed_in=FRAMEWORKS_PAGE,
    )


def _flask_extension(name: str, plugin: str = "ours_in_flask_applications") -> Suite:
    """Run all tests of a Flask extension; each application gets our sessions."""
    return Suite(name=name, theirs=_pytest("tests"), ours=_pytest("tests", plugin=plugin))


def _django_project(name: str, *arguments: str, repository: str = "", tag: str = "") -> Suite:
    """Run tests of a Django application against Django's ``signed_cookies``, then against our engine and middleware."""
    return Suite(
        name=name,
        theirs=_pytest(*arguments, plugin="signed_cookies_in_django_projects"),
        ours=_pytest(*arguments, plugin="ours_in_django_projects"),
        repository=repository,
        tag=tag,
    )


_DJANGO_TESTS = ("--parallel=1", "sessions_tests", "signing", "signed_cookies_tests", "messages_tests")
_AUTHLIB_TESTS = ("tests/clients/test_flask", "tests/clients/test_django", "tests/clients/test_starlette")

SUITES = (
    _framework("starlette", "ours_in_starlette", "tests/middleware/test_session.py"),
    _framework(
        "flask",
        "ours_in_flask",
        *("tests/test_basic.py", "tests/test_session_interface.py", "tests/test_reqctx.py", "tests/test_testing.py"),
        *("-k", "session or cookie or test_reqctx"),
    ),
    Suite(
        name="django",
        folder="tests",
        theirs=("runtests.py", "--settings=theirs_in_django", *_DJANGO_TESTS),
        ours=("runtests.py", "--settings=ours_in_django", *_DJANGO_TESTS),
        environment="frameworks",
        listed_in=FRAMEWORKS_PAGE,
    ),
    _framework(
        "itsdangerous",
        "ours_in_itsdangerous",
        "tests/test_itsdangerous/test_serializer.py",
        "tests/test_itsdangerous/test_timed.py::TestTimedSerializer",
    ),
    _flask_extension("flask-login"),
    _flask_extension("flask-wtf"),
    _flask_extension("flask-dance"),
    _flask_extension("flask-security", "ours_in_flask_security"),
    Suite(
        name="authlib",
        theirs=_pytest(*_AUTHLIB_TESTS),
        ours=_pytest(*_AUTHLIB_TESTS, plugin="ours_in_authlib"),
        repository="https://github.com/authlib/authlib",
        tag="v1.7.2",
    ),
    _django_project("djangorestframework", "tests"),
    _django_project("social-auth-app-django", *_UNCONFIGURED, "--ds=tests.settings", "tests"),
    _django_project(
        "channels",
        *("tests/security/test_auth.py", "tests/test_http.py"),
        repository="https://github.com/django/channels",
        tag="4.3.2",
    ),
    _django_project("django-allauth", "--ds=tests.projects.regular.settings", "tests"),
)
