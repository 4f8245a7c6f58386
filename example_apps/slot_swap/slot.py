"""One deployment slot: a folder, the environment of an App Service slot, a server process and its log."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ..demo.process import ServerProcess

__all__ = ["Slot"]

_REFUSED: Final = "unprotect_refused"


class Slot(ServerProcess):
    """A slot of the App Service *plants*.

    name: ``production`` or ``staging``, as deployed; a swap does not change it.
    version: the version of the application in the slot.
    folder: where the slot gets its home folder.
    settings: application settings, as environment variables.
    """

    def __init__(self, name: str, version: str, folder: Path, settings: Mapping[str, str]) -> None:
        self.name = name
        self.version = version
        self.home = folder / name
        app_service = {
            "HOME": str(self.home),
            "WEBSITE_SITE_NAME": "plants",
            "WEBSITE_SLOT_NAME": name,
            "WEBSITE_INSTANCE_ID": f"{name}-0",
            "WEBSITE_HOSTNAME": f"plants-{name}.example",
            "PLANTS_VERSION": version,
        }
        log_file = self.home / "LogFiles" / "application.log"
        shop = f"{__name__.rpartition('.')[0]}.shop"
        super().__init__(f"slot {name}", shop, log_file, {**app_service, **settings})

    @property
    def own_keys(self) -> Path:
        """The default location of the keys of this slot, according to the documentation."""
        return self.home / "ASP.NET" / "DataProtection-Keys"

    def refusals(self) -> list[str]:
        """The lines of the log about refused payloads, from the name of the event on."""
        return [line[line.index(_REFUSED) :] for line in self.log().splitlines() if _REFUSED in line]
