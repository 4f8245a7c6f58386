"""Where keys are stored by default: environments recorded from ASP.NET Core on Linux, and what differs on purpose."""

from __future__ import annotations

import getpass
import os
import stat
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from dpmiddleware.default_location import HomeKind, account_home, container_mark, find_key_home, is_lost_with_container
from dpmiddleware.windows_account import WindowsAccount
from tests.interop.vectors import load

CASES: list[dict[str, Any]] = load("hosting")["cases"]

# Keys are never put into a folder that is not configured, and not documented by ASP.NET Core.
DECIDED_OTHERWISE = {
    "HOME does not exist": "memory, where ASP.NET Core makes .aspnet under the working folder",
    "HOME cannot be made": "memory, where ASP.NET Core makes .aspnet under the working folder",
    "HOME relative": "memory, where ASP.NET Core makes .aspnet under the working folder",
    "LOCALAPPDATA empty": "counts as unset, where ASP.NET Core makes ASP.NET under the working folder",
}


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A /proc of a machine without volumes and without Docker."""
    return fake_proc(tmp_path / "proc", mounts="/dev/sda1 / ext4 rw 0 0\nproc /proc proc rw 0 0\n")


def fake_proc(folder: Path, *, mounts: str, cgroup: str = "0::/\n") -> Path:
    for file, text in {folder / "self" / "mounts": mounts, folder / "1" / "cgroup": cgroup}.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder


def expand(value: str, places: dict[str, Path]) -> str:
    for name, folder in places.items():
        value = value.replace(f"{{{name}}}", str(folder))
    return value


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """The folders of the recorded cases; homes that .NET found exist."""
    found = {"tmp": tmp_path, "cwd": tmp_path / "cwd", "passwd home": tmp_path / "account"}
    for folder in (*found.values(), *(tmp_path / name for name in ("home", "site", "site2", "c1", "c2", "c3", "c4"))):
        folder.mkdir(exist_ok=True)
    monkeypatch.chdir(found["cwd"])
    return found


@pytest.mark.parametrize("case", [pytest.param(case, id=case["why"]) for case in CASES])
def test_keys_live_where_asp_net_core_keeps_them_or_where_the_table_says(
    case: dict[str, Any], places: dict[str, Path], proc: Path
) -> None:
    environment = {name: expand(value, places) for name, value in case["env"].items()}
    home = find_key_home(environment, platform="linux", home_lookup=lambda: str(places["passwd home"]), proc=proc)
    if case["why"] not in DECIDED_OTHERWISE:
        assert home.repository == expand(case["directory"], places)
    elif case["why"] == "LOCALAPPDATA empty":
        assert home.repository == str(places["tmp"] / "home" / ".aspnet" / "DataProtection-Keys")
    else:
        assert (home.kind, home.repository) == (HomeKind.MEMORY, "memory:")
    assert home.key_wrapper is None
    assert home.auto_create_keys is ("ReadOnlyDataProtectionKeyDirectory" not in environment)
    assert home.lost_with_container is any("Warning 60" in line for line in case["log"])
    assert list(places["cwd"].iterdir()) == [], "nothing is made in the working folder"


def test_every_deviation_is_a_recorded_case() -> None:
    assert set(DECIDED_OTHERWISE) <= {case["why"] for case in CASES}


WHY = [
    pytest.param({"HOME": "{home}", "WEBSITE_INSTANCE_ID": "i"}, "App Service", id="App Service"),
    pytest.param({"HOME": "{home}"}, "user profile (HOME)", id="HOME"),
    pytest.param({"HOME": "/gone", "LOCALAPPDATA": "{home}"}, "user profile (LOCALAPPDATA)", id="LOCALAPPDATA"),
    pytest.param({}, "user profile (the account's entry)", id="passwd"),
    pytest.param({"HOME": "/gone"}, "HOME is /gone, which is not a folder", id="HOME is gone"),
    pytest.param({"HOME": "rel"}, "HOME is rel, not an absolute path", id="HOME is relative"),
    pytest.param({"HOME": "/\x1b[2J"}, "HOME is /\\x1b[2J, which is not a folder", id="HOME is for a terminal"),
    pytest.param({"HOME": "/proc"}, "/proc/.aspnet/DataProtection-Keys cannot be created", id="HOME takes no folder"),
]


@pytest.mark.parametrize(("environment", "words"), WHY)
def test_each_answer_says_in_words_why(environment: dict[str, str], words: str, tmp_path: Path, proc: Path) -> None:
    named = {name: value.replace("{home}", str(tmp_path)) for name, value in environment.items()}
    home = find_key_home(named, platform="linux", home_lookup=lambda: str(tmp_path), proc=proc)
    assert words in home.why


def test_an_account_without_a_home_keeps_keys_in_memory(proc: Path) -> None:
    home = find_key_home({}, platform="linux", home_lookup=lambda: "", proc=proc)
    assert home.kind is HomeKind.MEMORY
    assert "no home folder is set" in home.why


def test_a_folder_made_in_the_user_profile_is_private(tmp_path: Path, proc: Path) -> None:
    home = find_key_home({"HOME": str(tmp_path)}, platform="linux", proc=proc)
    assert stat.S_IMODE(Path(home.repository).stat().st_mode) == 0o700


def test_who_only_asks_for_the_place_creates_no_folder(tmp_path: Path, proc: Path) -> None:
    found = find_key_home({"HOME": str(tmp_path)}, proc=proc, create=False)
    assert found.repository == str(tmp_path / ".aspnet" / "DataProtection-Keys")
    assert not (tmp_path / ".aspnet").exists()
    assert find_key_home({"HOME": str(tmp_path)}, proc=proc) == found
    assert Path(found.repository).is_dir()


@pytest.mark.parametrize("create", [True, False])
def test_a_file_in_the_way_is_found_by_who_only_asks_as_well(create: bool, tmp_path: Path, proc: Path) -> None:
    (tmp_path / ".aspnet").write_text("not a folder")
    home = find_key_home({"HOME": str(tmp_path)}, platform="linux", proc=proc, create=create)
    assert home.kind is HomeKind.MEMORY
    assert "DataProtection-Keys cannot be created (Not a directory)" in home.why


def test_a_home_that_this_account_may_not_write_to_is_found_by_who_only_asks(
    tmp_path: Path, proc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may write anywhere, so the answer of the system is given here."""
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)
    home = find_key_home({"HOME": str(tmp_path)}, platform="linux", proc=proc, create=False)
    assert home.kind is HomeKind.MEMORY
    assert "DataProtection-Keys cannot be created (Permission denied)" in home.why


def test_an_existing_folder_keeps_its_modes(tmp_path: Path, proc: Path) -> None:
    folder = tmp_path / ".aspnet" / "DataProtection-Keys"
    folder.mkdir(parents=True)
    folder.chmod(0o750)
    find_key_home({"HOME": str(tmp_path)}, platform="linux", proc=proc)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o750


def test_app_service_is_not_probed_so_a_lost_disk_is_an_outage_and_no_new_ring(tmp_path: Path, proc: Path) -> None:
    home = find_key_home({"HOME": str(tmp_path), "WEBSITE_INSTANCE_ID": "i"}, platform="linux", proc=proc)
    assert home.kind is HomeKind.APP_SERVICE
    assert list(tmp_path.iterdir()) == [proc]


def test_two_slots_have_two_folders(tmp_path: Path, proc: Path) -> None:
    slots = [{"HOME": str(tmp_path / slot), "WEBSITE_INSTANCE_ID": "i"} for slot in ("staging", "production")]
    assert len({find_key_home(slot, platform="linux", proc=proc).repository for slot in slots}) == 2


@pytest.mark.parametrize("prefix", ["", "DOTNET_", "ASPNETCORE_"])
def test_a_read_only_folder_is_named_with_and_without_a_prefix(prefix: str, proc: Path) -> None:
    home = find_key_home({f"{prefix}ReadOnlyDataProtectionKeyDirectory": "/keys"}, platform="linux", proc=proc)
    assert (home.kind, home.repository, home.auto_create_keys) == (HomeKind.READ_ONLY_FOLDER, "/keys", False)


@dataclass
class Account(WindowsAccount):
    """What Windows would report."""

    folder: str = ""
    user_dpapi: bool = True
    registry: str = ""

    def local_app_data(self) -> str:
        return self.folder

    def has_user_dpapi(self) -> bool:
        return self.user_dpapi

    def iis_keys(self) -> str:
        return self.registry


IIS = "registry://HKLM/SOFTWARE/Microsoft/ASP.NET/4.0.30319.0/AutoGenKeys/S-1-5-82-1/DataProtection"
ADA = "C:\\Users\\ada\\AppData\\Local"
NO_FOLDER = "C:\\" + 300 * "x"  # a name longer than file systems allow
KEYS = "\\ASP.NET\\DataProtection-Keys"


@dataclass
class OnWindows:
    """Where keys are stored: the kind of place, the place, the wrapper, and words of the reason."""

    kind: HomeKind
    repository: str
    wrapper: str | None
    words: str = ""


PROFILE = OnWindows(HomeKind.USER_PROFILE, ADA + KEYS, "dpapi:", "for the user")
PROFILE_OF_MACHINE = OnWindows(HomeKind.USER_PROFILE, ADA + KEYS, "dpapi:machine", "for the machine")
REGISTRY = OnWindows(HomeKind.IIS, IIS, "dpapi:machine", "IIS created a registry key")
MEMORY = OnWindows(HomeKind.MEMORY, "memory:", None, "a restart loses the keys")
SITE = OnWindows(HomeKind.APP_SERVICE, "C:\\home" + KEYS, None, "not encrypted at rest")
READ_ONLY = OnWindows(HomeKind.READ_ONLY_FOLDER, "C:\\keys", None, "none is created")
OF_SITE = {"WEBSITE_INSTANCE_ID": "i", "HOME": "C:\\home"}
OF_READER = {"ReadOnlyDataProtectionKeyDirectory": "C:\\keys"}
ON_WINDOWS = [
    pytest.param({}, Account(ADA), PROFILE, id="a profile"),
    pytest.param({"LOCALAPPDATA": "C:\\elsewhere"}, Account(ADA), PROFILE, id="the known folder comes first"),
    pytest.param({"LOCALAPPDATA": ADA}, Account(), PROFILE, id="LOCALAPPDATA"),
    pytest.param({}, Account(ADA, user_dpapi=False), PROFILE_OF_MACHINE, id="no DPAPI of the user"),
    pytest.param({}, Account(ADA, registry=IIS), PROFILE, id="IIS with a profile"),
    pytest.param({}, Account(registry=IIS), REGISTRY, id="IIS without one"),
    pytest.param({}, Account(NO_FOLDER, registry=IIS), REGISTRY, id="IIS, whose profile takes no folder"),
    pytest.param({}, Account(), MEMORY, id="nothing"),
    pytest.param(OF_SITE, Account(ADA, registry=IIS), SITE, id="App Service"),
    pytest.param(OF_READER, Account(ADA, registry=IIS), READ_ONLY, id="a folder for reading only"),
]


@pytest.mark.skipif(sys.platform == "win32", reason="makes folders of strange names in a folder of ours")
@pytest.mark.parametrize(("environment", "account", "expected"), ON_WINDOWS)
def test_on_windows_keys_live_where_the_documentation_says(
    environment: dict[str, str], account: Account, expected: OnWindows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """App Service, the profile under DPAPI of the user or the machine, IIS with HKLM, memory."""
    monkeypatch.chdir(tmp_path)
    home = find_key_home(environment, platform="win32", home_lookup=lambda: "", windows=account, proc=tmp_path)
    assert (home.kind, home.repository, home.key_wrapper) == (expected.kind, expected.repository, expected.wrapper)
    assert expected.words in home.why


def test_elsewhere_windows_is_not_asked(tmp_path: Path, proc: Path) -> None:
    account = Account(ADA, registry=IIS)
    home = find_key_home({"HOME": "/gone"}, platform="linux", windows=account, home_lookup=lambda: "", proc=proc)
    assert home.kind is HomeKind.MEMORY


@pytest.mark.skipif(sys.platform == "win32", reason="what it says elsewhere")
def test_there_is_no_windows_account_elsewhere() -> None:
    account = WindowsAccount()
    assert (account.local_app_data(), account.sid(), account.iis_keys()) == ("", "", "")
    assert not account.has_user_dpapi()


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="no passwd on this platform")
def test_the_account_s_home_is_that_of_passwd() -> None:
    assert account_home() == os.path.expanduser(f"~{getpass.getuser()}")  # noqa: PTH111 (the passwd entry, not HOME)


MOUNTS = "# a comment\n\n/dev/sda1 / ext4 rw\n/dev/sdb /app ext4 rw\n/dev/sdc /with\\040space/ ext4 rw\nnone rel\n"
IN_DOCKER = {"DOTNET_RUNNING_IN_CONTAINER": "TRUE"}
VOLUMES = [
    pytest.param("/app", False, id="the volume itself"),
    pytest.param("/app/", False, id="with a slash"),
    pytest.param("/app/subdir/two/", False, id="below it"),
    pytest.param("/with space/keys", False, id="a mount point with a space"),
    pytest.param("/", True, id="the container's own disk"),
    pytest.param("/home/root", True, id="beside it"),
    pytest.param("/apple", True, id="a name that begins alike"),
]


@pytest.mark.parametrize(("folder", "lost"), VOLUMES)
def test_a_folder_on_no_volume_is_lost_with_its_container(folder: str, lost: bool, tmp_path: Path) -> None:
    proc = fake_proc(tmp_path / "proc", mounts=MOUNTS)
    assert is_lost_with_container(folder, IN_DOCKER, platform="linux", proc=proc) is lost


@pytest.mark.parametrize(
    ("environment", "cgroup", "contained"),
    [
        pytest.param({}, "0::/\n", False, id="nothing says so"),
        pytest.param({"DOTNET_RUNNING_IN_CONTAINER": "1"}, "0::/\n", True, id="1"),
        pytest.param({"DOTNET_RUNNING_IN_CONTAINERS": "true"}, "0::/\n", True, id="the older name"),
        pytest.param({"DOTNET_RUNNING_IN_CONTAINER": "yes"}, "0::/\n", False, id="yes is not true"),
        pytest.param({}, "1:name=openrc:/docker\n", True, id="a control group of Docker"),
    ],
)
def test_a_container_is_recognised_as_asp_net_core_does(
    environment: dict[str, str], cgroup: str, contained: bool, tmp_path: Path
) -> None:
    proc = fake_proc(tmp_path / "proc", mounts=MOUNTS, cgroup=cgroup)
    assert is_lost_with_container("/home/root", environment, platform="linux", proc=proc) is contained


@dataclass
class Host:
    """What a process sees: its variables, files at the root, and the mount table."""

    environment: dict[str, str] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ("/dev/sda1 / ext4 rw",)


IN_CONTAINERS = [
    pytest.param(Host(files=(".dockerenv",)), "/.dockerenv exists", id="Docker"),
    pytest.param(Host(files=("run/.containerenv",)), "/run/.containerenv exists", id="Podman"),
    pytest.param(Host({"container": "podman"}), "container is set", id="container="),
    pytest.param(Host({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}), "KUBERNETES_SERVICE_HOST is set", id="Kubernetes"),
    pytest.param(Host(mounts=("overlay / overlay rw",)), "the root is an overlay", id="an overlay root"),
    pytest.param(Host(mounts=("x / fuse.fuse-overlayfs rw",)), "the root is an overlay", id="a rootless overlay root"),
    pytest.param(
        Host(mounts=("rootfs / rootfs rw", "overlay / overlay rw")), "the root is an overlay", id="the last root counts"
    ),
    pytest.param(
        Host({"DOTNET_RUNNING_IN_CONTAINER": "1"}), "DOTNET_RUNNING_IN_CONTAINER is set", id=".NET's variable"
    ),
]
OVERLAY = "overlay /var/lib/docker/overlay2/0123/merged overlay rw"
ON_HOSTS = [
    pytest.param(Host(), id="nothing"),
    pytest.param(Host(mounts=("/dev/sda1 / ext4 rw", OVERLAY)), id="containers run on it"),
    pytest.param(
        Host(mounts=(OVERLAY, "overlay / overlay rw", "/dev/sda1 / ext4 rw")), id="a boot disk was an overlay"
    ),
    pytest.param(Host(mounts=("overlay /overlay ext4 rw", "overlay / ext4 rw")), id="only names"),
    pytest.param(Host({"container": "", "KUBERNETES_SERVICE_HOST": ""}), id="empty variables"),
    pytest.param(Host({"CONTAINER": "1", "DOTNET_RUNNING_IN_CONTAINER": "0"}), id="other variables"),
    pytest.param(Host(files=("home/.dockerenv", "run/containerenv")), id="other files"),
    pytest.param(Host(mounts=()), id="no mount table"),
]


def lay_out(host: Host, root: Path) -> Path:
    """Make the root of a host; return its /proc."""
    for name in host.files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return fake_proc(root / "proc", mounts="\n".join(host.mounts))


@pytest.mark.parametrize(("host", "mark"), IN_CONTAINERS)
def test_a_container_is_recognised_by_the_marks_of_its_runtime(host: Host, mark: str, tmp_path: Path) -> None:
    """Images for Python do not set .NET's variable, so keys were lost with their containers without a word."""
    proc = lay_out(host, tmp_path)
    assert container_mark(host.environment, platform="linux", proc=proc) == mark
    assert is_lost_with_container("/root/.aspnet", host.environment, platform="linux", proc=proc)
    home = find_key_home({**host.environment, "HOME": str(tmp_path)}, platform="linux", proc=proc)
    assert home.lost_with_container
    assert home.why.endswith(f"; in a container ({mark}) but not on a volume: the keys are lost with the container")
    with_volume = lay_out(Host(mounts=(*host.mounts, "/dev/sdb /root/.aspnet ext4 rw")), tmp_path)
    assert not is_lost_with_container("/root/.aspnet/keys", host.environment, platform="linux", proc=with_volume)


@pytest.mark.parametrize("host", ON_HOSTS)
def test_an_ordinary_host_is_no_container(host: Host, tmp_path: Path) -> None:
    proc = lay_out(host, tmp_path)
    assert container_mark(host.environment, platform="linux", proc=proc) == ""
    assert not is_lost_with_container("/root/.aspnet", host.environment, platform="linux", proc=proc)


@pytest.mark.parametrize(("host", "mark"), IN_CONTAINERS)
def test_elsewhere_only_the_variable_of_net_counts(host: Host, mark: str, tmp_path: Path) -> None:
    found = container_mark(host.environment, platform="win32", proc=lay_out(host, tmp_path))
    assert found == (mark if mark.startswith("DOTNET") else "")


def test_without_proc_nothing_is_a_volume_and_nothing_a_container(tmp_path: Path) -> None:
    assert not is_lost_with_container("/keys", {}, platform="darwin", proc=tmp_path / "none")
    assert is_lost_with_container("/keys", IN_DOCKER, platform="darwin", proc=tmp_path / "none")
