"""The command whose verbs run: ``dpm``, or a command of an application, whose own ring the verbs work on then.

All commands have the same verbs: `dpmiddleware.cli.main.command_line` is the only list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from dpmiddleware.cli.finding import Finding
from dpmiddleware.cli.option_names import as_options, as_own
from dpmiddleware.cli.usage import UsageError
from dpmiddleware.errors import ConfigurationError
from dpmiddleware.naming import ARGUMENT

if TYPE_CHECKING:
    from dpmiddleware.data_protection import DataProtection

__all__ = ["Application", "Command"]


@dataclass(frozen=True)
class Application:
    """An application that runs on a ring.

    data_protection: its own object. findings: what ``check`` says of its cookies; ``None`` if nobody looks at them.
    """

    data_protection: DataProtection
    findings: Callable[[], Iterable[Finding]] | None = None


class Command:
    """A command with the verbs of ``dpm``.

    prog: how it is typed.
    find: the application whose ring the verbs work on; without it, options and variables name the ring.
    """

    def __init__(self, prog: str = "dpm", find: Callable[[], Application] | None = None) -> None:
        self.prog = prog
        self._find = find

    @property
    def has_own_ring(self) -> bool:
        """Whether the verbs work on the ring of an application."""
        return self._find is not None

    @cached_property
    def application(self) -> Application:
        """The application. `UsageError` if it cannot be found, or has no ring."""
        assert self._find is not None  # noqa: S101 (the caller asks `has_own_ring`)
        try:
            return self._find()
        except ConfigurationError as error:
            raise UsageError(str(error), hint=error.hint) from error

    def written(self, text: str) -> str:
        """A text of ``dpm`` or of the package, with names as they are typed here."""
        if not self.has_own_ring:
            return as_options(text)
        found: Application | None = self.__dict__.get("application")
        return as_own(text, self.prog, ARGUMENT if found is None else found.data_protection.naming)
