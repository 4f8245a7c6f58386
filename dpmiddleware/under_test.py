"""Whether this process runs tests. Then Django's settings give a ring in memory, and no test touches the real one.

Three signs count, the earliest that there is: the plugin for pytest, the command line of ``manage.py test``, and
Django's own test environment, which every runner sets up. Nothing that runs in production shows one of them.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

__all__ = ["begin", "end", "is_running", "is_test_command"]

_PROGRAMS: Final = {"manage.py", "django-admin", "django-admin.py", "django-admin.exe"}
_MODULE: Final = ("django", "__main__.py")
"""The end of the path of ``python -m django``."""

_sessions = 0


def begin() -> None:
    """A session of pytest begins."""
    global _sessions  # noqa: PLW0603
    _sessions += 1


def end() -> None:
    """A session of pytest ends."""
    global _sessions  # noqa: PLW0603
    _sessions -= 1


def is_test_command(command: list[str]) -> bool:
    """Whether this is ``manage.py test``, which imports the project before Django sets up the test environment."""
    if len(command) < 2 or command[1] != "test":
        return False
    program = Path(command[0])
    return program.name in _PROGRAMS or program.parts[-2:] == _MODULE


_COMMAND: Final = is_test_command(sys.argv)


def is_running() -> bool:
    """Whether tests run, or are about to. Asked in each request to Django: it takes a tenth of a microsecond."""
    if _sessions > 0 or _COMMAND:
        return True
    utils = sys.modules.get("django.test.utils")  # has saved what `setup_test_environment` changes, until its end
    return utils is not None and hasattr(getattr(utils, "_TestState", None), "saved_data")
