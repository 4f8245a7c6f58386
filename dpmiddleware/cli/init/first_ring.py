"""The first key of a ring, and the check of it, with the settings that ``dpm init`` wrote.

The store of a container platform can be reached only from there. Its own job creates the first key and checks the ring;
here, the settings and key material are tried with a ring in a temporary folder. With a key service, nothing is tried
here: the containers may have the only account for it.
"""

from __future__ import annotations

import io
import tempfile
from typing import Self

from dpmiddleware.cli.check import report
from dpmiddleware.cli.init.answers import MADE_HERE, Answers
from dpmiddleware.cli.init.templates import variables_of
from dpmiddleware.cli.keys.create_rotate import create
from dpmiddleware.cli.output import Console
from dpmiddleware.cli.presence import Needs
from dpmiddleware.cli.ring import RingView
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import DataProtectionError, KeyManagementError

__all__ = ["FirstRing"]


class FirstRing:
    """The ring of a configuration; a context that removes what was only tried."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._trial = tempfile.TemporaryDirectory(prefix="dpm-init-") if answers.in_cluster else None
        self.only_there = answers.in_cluster and answers.wrapper not in MADE_HERE
        """Whether nothing can be tried here."""
        self.told: list[str] = []
        """What `create` has done, for people."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._trial is not None:
            self._trial.cleanup()

    def _variables(self, role: str) -> dict[str, str]:
        variables = variables_of(self._answers, role)
        return variables if self._trial is None else variables | {"DPM_REPOSITORY": self._trial.name}

    def _store(self) -> DataProtection:
        """The ring without its key material, which may not be there yet."""
        variables = {name: self._variables("web")[name] for name in ("DPM_APPLICATION", "DPM_REPOSITORY")}
        return DataProtection.from_env(variables, auto_create_keys=False)

    def refuse_a_ring(self) -> None:
        """`KeyManagementError` if the store is not empty: its members would not have the new key material."""
        dp = self._store()
        if dp.repository.read().documents:
            raise KeyManagementError(
                f"there is already a ring in {dp.repository.location}: nothing was written",
                hint="name an empty store; an existing ring is configured by hand, with its own key material",
            )

    def is_empty(self) -> bool:
        """Whether the store is surely empty: key material that nobody needs can be removed."""
        try:
            return not self._store().repository.read().documents
        except DataProtectionError:
            return False

    def create(self) -> str | None:
        """Create the first key, as ``dpm keys create`` does with ``job.env``. Its id; ``None`` if a job will do it."""
        if self.only_there:
            self.told = ["the first key is created there, and checked: the key service may not be reached from here"]
            return None
        dp, printed = DataProtection.from_env(self._variables("job")), io.StringIO()
        create(dp, RingView.of(dp, Needs.ROOM), Console(out=printed))
        if self._trial is not None:
            self.told = ["the first key is created there; tried here, with a ring in a temporary folder:"]
            return None
        self.told = printed.getvalue().splitlines()
        (key,) = dp.manager.read().keys
        return str(key.id)

    def check(self, console: Console) -> int:
        """``dpm check`` with ``web.env``. Exit status 1 if there is a problem; 0 if the job will do it."""
        if self.only_there:
            return 0
        dp = DataProtection.from_env(self._variables("web"))
        return report(dp, console, self._variables("job").get("DPM_SIGNER"), place=self._trial is None)
