"""Where keys are stored if no repository is configured, as the documentation of ASP.NET Core defines it.

The first of these that applies (`find_key_home`):

1. ``ReadOnlyDataProtectionKeyDirectory`` (also with the prefix ``DOTNET_`` or ``ASPNETCORE_``): that folder, read-only.
2. Azure App Service (``WEBSITE_INSTANCE_ID`` and ``HOME`` not empty): ``$HOME/ASP.NET/DataProtection-Keys``, not
   encrypted at rest. The folder belongs to the slot: two slots have two rings, and a swap signs everyone out.
3. The user profile: ``$LOCALAPPDATA/ASP.NET/DataProtection-Keys``, otherwise ``.aspnet/DataProtection-Keys`` in the
   home folder (``HOME``, otherwise the account's entry in passwd). Not encrypted at rest. On Windows, the known folder
   of the account comes before the environment, and keys are wrapped with DPAPI: for the user if that works, otherwise
   for the machine.
4. IIS without a user profile: the registry key that it created for the account, wrapped with DPAPI for the machine.
5. Memory: every restart loses the keys.

If the home folder is missing, relative or cannot be created, ASP.NET Core uses a folder relative to the working folder;
here, keys are then in memory. Its application name, taken from the content root, is not copied: ours is always given.
The environment is not examined before the ring is first needed. Source: ``DefaultKeyStorageDirectories``,
``ContainerUtils`` and ``XmlKeyManager`` of ASP.NET Core, and vectors recorded from it.
"""

from __future__ import annotations

import enum
import errno
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Final

from dpmiddleware.printable import printable

if TYPE_CHECKING:
    from dpmiddleware.windows_account import WindowsAccount

__all__ = ["HomeKind", "KeyHome", "account_home", "container_mark", "find_key_home", "is_lost_with_container"]

_PROC = Path("/proc")
_READ_ONLY_NAMES: Final = tuple(f"{p}ReadOnlyDataProtectionKeyDirectory" for p in ("", "DOTNET_", "ASPNETCORE_"))
_IN_CONTAINER_NAMES: Final = ("DOTNET_RUNNING_IN_CONTAINER", "DOTNET_RUNNING_IN_CONTAINERS")
_SLOT_FOLDER: Final = ("ASP.NET", "DataProtection-Keys")
_HOME_FOLDER: Final = (".aspnet", "DataProtection-Keys")


class HomeKind(enum.Enum):
    """The kind of place."""

    READ_ONLY_FOLDER = "read-only folder"
    APP_SERVICE = "App Service slot"
    USER_PROFILE = "user profile"
    IIS = "registry of IIS"
    MEMORY = "memory"


@dataclass(frozen=True, slots=True)
class KeyHome:
    """Where keys are stored, and why.

    kind: the kind of place.
    repository: a folder or URL, for `DataProtection`.
    why: for people, without a full stop.
    key_wrapper: for `DataProtection`; ``None``: keys are not encrypted at rest.
    auto_create_keys: whether keys may be created there.
    lost_with_container: whether it is in a container, and not on a volume.
    """

    kind: HomeKind
    repository: str
    why: str
    key_wrapper: str | None = None
    auto_create_keys: bool = True
    lost_with_container: bool = False


def account_home() -> str:
    """Return the home folder in the account's passwd entry; empty if there is none."""
    try:
        import pwd  # not on Windows

        return pwd.getpwuid(os.getuid()).pw_dir
    except (ImportError, KeyError):
        return ""


def find_key_home(
    environment: Mapping[str, str] | None = None,
    *,
    platform: str = sys.platform,
    home_lookup: Callable[[], str] = account_home,
    windows: WindowsAccount | None = None,
    proc: Path | None = None,
    create: bool = True,
) -> KeyHome:
    """Return where keys are stored in this environment; create the folder in the user profile if it is missing.

    Never raises. A folder that cannot be used is an error of the repository on first use.

    environment: the variables; by default this process's.
    platform: as ``sys.platform``.
    home_lookup: finds the home folder if no variable names it.
    windows: the account on Windows.
    proc: where ``/proc`` is; beside it are the files that mark a container.
    create: ``False`` to only look: a missing folder is not created. Whether it could be is seen from the folder above.
    """
    env = os.environ if environment is None else environment
    home = _read_only_folder(env) or _app_service(env, platform)
    if home is None and platform == "win32":
        from dpmiddleware.windows_account import WindowsAccount  # and DPAPI, which only Windows has

        home = _on_windows(env, home_lookup, windows or WindowsAccount(), create=create)
    home = home or _user_profile_or_memory(env, platform, home_lookup, create=create)
    if home.kind in {HomeKind.MEMORY, HomeKind.IIS} or not is_lost_with_container(
        home.repository, env, platform=platform, proc=proc
    ):
        return home
    where = f"in a container ({container_mark(env, platform=platform, proc=proc)}) but not on a volume"
    return replace(home, why=f"{home.why}; {where}: the keys are lost with the container", lost_with_container=True)


def _read_only_folder(env: Mapping[str, str]) -> KeyHome | None:
    for name in _READ_ONLY_NAMES:
        if folder := env.get(name, ""):
            why = f"{name} names this folder; keys are read there, and none is created"
            return KeyHome(HomeKind.READ_ONLY_FOLDER, folder, why, auto_create_keys=False)
    return None


def _app_service(env: Mapping[str, str], platform: str) -> KeyHome | None:
    """The folder is not probed: while the disk of a site is away, its keys must not move into memory."""
    home = env.get("HOME", "")
    if not env.get("WEBSITE_INSTANCE_ID") or not home or not _is_absolute(home, platform):
        return None
    why = (
        "Azure App Service (WEBSITE_INSTANCE_ID is set): the folder of this slot, not encrypted at rest; "
        "another slot has another ring"
    )
    return KeyHome(HomeKind.APP_SERVICE, _join(platform, home, _SLOT_FOLDER), why)


def _on_windows(
    env: Mapping[str, str], home_lookup: Callable[[], str], account: WindowsAccount, *, create: bool
) -> KeyHome:
    """The account's profile; otherwise the registry key that IIS created for it; otherwise memory."""
    known = account.local_app_data()
    profile = {**env, "LOCALAPPDATA": known} if known else env
    home = _user_profile_or_memory(profile, "win32", home_lookup, create=create)
    if home.kind is HomeKind.USER_PROFILE:
        wrapper, whose = ("dpapi:", "the user") if account.has_user_dpapi() else ("dpapi:machine", "the machine")
        return replace(home, key_wrapper=wrapper, why=f"{home.why}, wrapped with DPAPI for {whose}")
    if url := account.iis_keys():
        reason = home.why.partition(";")[0]
        why = f"{reason}; IIS created a registry key for the account; wrapped with DPAPI for the machine"
        return KeyHome(HomeKind.IIS, url, why, "dpapi:machine")
    return home


def _user_profile_or_memory(
    env: Mapping[str, str], platform: str, home_lookup: Callable[[], str], *, create: bool
) -> KeyHome:
    folder, reason = _profile_folder(env, platform, home_lookup)
    if folder and (obstacle := _obstacle(Path(folder), create=create)):
        folder, reason = "", f"{printable(folder)} cannot be created ({obstacle})"
    if not folder:
        return KeyHome(HomeKind.MEMORY, "memory:", f"no usable user profile: {reason}; a restart loses the keys")
    at_rest = "" if platform == "win32" else ", not encrypted at rest"
    why = f"no repository is configured: the user profile ({reason}){at_rest}"
    return KeyHome(HomeKind.USER_PROFILE, folder, why)


def _obstacle(folder: Path, *, create: bool) -> str:
    """Why a folder cannot be created, or "". Without ``create``: as far as that can be seen without trying."""
    try:
        if create:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            return ""
        there = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
        if not there.is_dir():
            return os.strerror(errno.ENOTDIR)
        may_create = there == folder or os.access(there, os.W_OK | os.X_OK)
        return "" if may_create else os.strerror(errno.EACCES)
    except OSError as error:
        return error.strerror or str(error)


def _profile_folder(env: Mapping[str, str], platform: str, home_lookup: Callable[[], str]) -> tuple[str, str]:
    """Return the folder and what named it; or "" and what is wrong. Empty and relative paths are ignored."""
    local = env.get("LOCALAPPDATA", "")
    if local and _is_absolute(local, platform):
        return _join(platform, local, _SLOT_FOLDER), "LOCALAPPDATA"
    name = "USERPROFILE" if platform == "win32" else "HOME"
    home = env.get(name, "")
    if not home:
        name, home = "the account's entry", home_lookup()
    if not home:
        return "", "no home folder is set"
    if not _is_absolute(home, platform):
        return "", f"{name} is {printable(home)}, not an absolute path"
    if not Path(home).is_dir():
        return "", f"{name} is {printable(home)}, which is not a folder"
    below = ("AppData", "Local", *_SLOT_FOLDER) if platform == "win32" else _HOME_FOLDER
    return _join(platform, home, below), name


def _is_absolute(path: str, platform: str) -> bool:
    return PureWindowsPath(path).is_absolute() if platform == "win32" else path.startswith("/")


def _join(platform: str, folder: str, below: tuple[str, ...]) -> str:
    return str((PureWindowsPath if platform == "win32" else PurePosixPath)(folder, *below))


def is_lost_with_container(
    folder: str, environment: Mapping[str, str] | None = None, *, platform: str = sys.platform, proc: Path | None = None
) -> bool:
    """Whether this process runs in a container and ``folder`` is not on one of its volumes.

    A volume is a mount point, other than ``/``, at the folder or above it.
    """
    if not container_mark(environment, platform=platform, proc=proc):
        return False
    volumes = _mounts(proc or _PROC).keys() - {"/"}
    path = Path(folder).absolute()
    return not any(str(part) in volumes for part in (path, *path.parents))


def container_mark(
    environment: Mapping[str, str] | None = None, *, platform: str = sys.platform, proc: Path | None = None
) -> str:
    """Return what shows that this process runs in a container, or "".

    For ASP.NET Core, this is ``DOTNET_RUNNING_IN_CONTAINER`` (``1`` or ``true``), or that the first process is in a
    control group of Docker under OpenRC. Images for Python do not set the variable, so on Linux the marks that
    container runtimes leave count here, too. An overlay that is not the root is one of a host's containers.
    """
    env, proc = os.environ if environment is None else environment, proc or _PROC
    for name in _IN_CONTAINER_NAMES:
        if env.get(name, "").lower() in {"1", "true"}:
            return f"{name} is set"
    if not platform.startswith("linux"):
        return ""
    for name in ("KUBERNETES_SERVICE_HOST", "container"):  # the latter by Podman, LXC and systemd-nspawn
        if env.get(name):
            return f"{name} is set"
    for name in (".dockerenv", "run/.containerenv"):
        if os.path.lexists(proc.parent / name):
            return f"/{name} exists"
    if any(line.endswith("name=openrc:/docker") for line in _lines(proc / "1" / "cgroup")):
        return "its control group is Docker's"
    return "the root is an overlay" if "overlay" in _mounts(proc).get("/", "") else ""


def _mounts(proc: Path) -> dict[str, str]:
    """Mount points and their types, from the mount table; white space in a path is escaped in octal there."""
    fields = (line.split() for line in _lines(proc / "self" / "mounts") if not line.lstrip().startswith("#"))
    points = (
        (re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), field[1]), field[2]) for field in fields if len(field) > 2
    )
    return {point.rstrip("/") or "/": kind for point, kind in points if point.startswith("/")}


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return []
