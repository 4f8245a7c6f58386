"""One deployment slot: a folder, the environment that App Service gives a slot, a server process and its log."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..demo.process import ServerProcess

__all__ = ["Slot"]


class Slot(ServerProcess):
    """A slot of the App Service *plants*.

    name: ``production`` or ``staging``, the slot that it is when it is made; a swap moves the name *production*, not
    the slot. version: of the application in it. settings: application settings, as environment variables.
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
        """Where the documentation says that the keys of this slot live when nobody names a place."""
        return self.home / "ASP.NET" / "DataProtection-Keys"

    def refusals(self) -> list[str]:
        """The lines of the log that say why a payload was not opened."""
        return [line for line in self.log().splitlines() if "payload refused" in line]
