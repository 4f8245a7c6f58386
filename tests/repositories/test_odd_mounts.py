"""A folder on a mount without hard links, locks or fsync of a folder; a commit that is killed or paused."""

from __future__ import annotations

import errno
import os
import platform
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from dpmiddleware import DataProtection
from dpmiddleware.errors import RepositoryError, VersionConflict
from dpmiddleware.keys.interfaces import StoredDocument
from dpmiddleware.repositories import folder_lock
from dpmiddleware.repositories.files import FileKeyRepository
from dpmiddleware.testing.contracts.store import commit, contents, document, stored

fcntl: Any = pytest.importorskip("fcntl", reason="Windows has no flock, and its mounts have what it needs")
# Python 3.12 and later warn about what is tested here: forking a process with threads.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
ENOTSUPP = 524
LACKING = [
    *(ENOTSUPP, errno.EACCES, errno.EXDEV, errno.EINVAL, errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS),
    *(errno.ENOLCK, errno.EBADF, errno.EROFS, errno.EISDIR, errno.ENOTTY),
]
FAILING = [errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.ESTALE, errno.ENOTCONN]


def name_of(code: int) -> str:
    return errno.errorcode.get(code, str(code))


def is_folder(descriptor: int) -> bool:
    return stat.S_ISDIR(os.fstat(descriptor).st_mode)


CALLS: dict[str, tuple[Any, str, Callable[..., bool]]] = {
    "link": (os, "link", lambda *_: True),
    "flock": (fcntl, "flock", lambda *_: True),
    "fsync of a folder": (os, "fsync", is_folder),
    "fsync": (os, "fsync", lambda *_: True),
    "rename": (os, "rename", lambda *_: True),
    "exclusive creation": (os, "open", lambda path, flags, *_: bool(flags & os.O_EXCL)),
}


def break_call(monkeypatch: pytest.MonkeyPatch, call: str, code: int) -> object:
    """Have a call of the operating system fail, as on a mount that lacks it."""
    module, name, applies = CALLS[call]
    real = getattr(module, name)

    def fail(*arguments: Any, **named: Any) -> Any:
        if applies(*arguments):
            raise OSError(code, os.strerror(code))
        return real(*arguments, **named)

    return monkeypatch.setattr(module, name, fail)


def lock_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Locks succeed and exclude nobody, as between two machines of a mount with local locks."""
    monkeypatch.setattr(fcntl, "flock", lambda *_: None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "keys"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- what the mount lacks --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", LACKING, ids=name_of)
@pytest.mark.parametrize("call", ["link", "flock", "fsync of a folder", "fsync"])
def test_a_ring_is_kept_on_a_mount_that_lacks(
    call: str, code: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_call(monkeypatch, call, code)
    repository = FileKeyRepository(folder)
    old, other = document(), document()
    commit(repository, old)
    commit(repository, other, document(name="revocation-20260102T030405678Z"))
    new = StoredDocument(old.name, b"<key>wrapped again</key>")
    repository.commit(
        add=[new], remove=[stored(repository, old.data), stored(repository, other.data)], expected=repository.version()
    )
    assert names(folder) == [f"{old.name}.xml", "revocation-20260102T030405678Z.xml"]
    assert new.data in contents(FileKeyRepository(folder))
    with pytest.raises(RepositoryError, match="already has a document named"):
        commit(repository, StoredDocument(old.name, b"<key>another</key>"))
    assert names(folder) == [f"{old.name}.xml", "revocation-20260102T030405678Z.xml"]


def test_a_ring_is_kept_on_a_mount_that_lacks_everything(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for call, code in (("link", ENOTSUPP), ("flock", errno.ENOLCK), ("fsync", errno.EINVAL)):
        break_call(monkeypatch, call, code)
    token = DataProtection("shop", repository=str(folder)).create_protector("p").protect("3 apples")
    assert DataProtection("shop", repository=str(folder)).create_protector("p").unprotect(token) == "3 apples"
    (name,) = names(folder)
    assert name.startswith("key-")
    assert name.endswith(".xml")


@pytest.mark.parametrize("code", FAILING, ids=name_of)
@pytest.mark.parametrize("call", ["link", "fsync of a folder", "fsync"])
def test_a_disk_that_fails_is_not_a_mount_that_lacks_something(
    call: str, code: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = FileKeyRepository(folder)
    first = document()
    commit(repository, first)
    with monkeypatch.context() as broken:
        break_call(broken, call, code)
        with pytest.raises(RepositoryError) as caught:
            commit(repository, document())
    assert os.strerror(code) in str(caught.value)
    assert "another mount" not in caught.value.hint
    assert folder_lock.LOCK_NAME not in names(folder)
    commit(repository, document())
    assert first.data in contents(repository)


@pytest.mark.parametrize("code", [ENOTSUPP, errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS], ids=name_of)
@pytest.mark.parametrize("lacking", [["exclusive creation"], ["link", "rename"]], ids=" and ".join)
def test_a_mount_that_lacks_too_much_is_named(
    lacking: list[str], code: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for call in lacking:
        break_call(monkeypatch, call, code)
    with pytest.raises(RepositoryError) as caught:
        commit(FileKeyRepository(folder), document())
    assert "Unknown error" not in str(caught.value)
    assert caught.value.hint.startswith("use another mount or another store")
    assert names(folder) == []


def test_the_hint_for_a_link_that_may_not_be_made_is_not_about_permissions(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """EACCES of ``link`` said "allow this user to write there" of a folder in which they could write."""
    break_call(monkeypatch, "link", errno.EACCES)
    break_call(monkeypatch, "rename", errno.EXDEV)
    with pytest.raises(RepositoryError) as caught:
        commit(FileKeyRepository(folder), document())
    assert "allow this user" not in caught.value.hint


def test_a_link_that_was_made_although_the_server_reported_an_error_is_made(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.link

    def made_twice(source: Any, target: Any) -> None:
        real(source, target)
        real(source, target)

    monkeypatch.setattr(os, "link", made_twice)
    added = document()
    commit(FileKeyRepository(folder), added)
    assert names(folder) == [f"{added.name}.xml"]


# --- many at once ----------------------------------------------------------------------------------------------------


def ends_of(actions: Sequence[Callable[[], object]]) -> list[int]:
    """Run each action in a child, all at the same time. 0: it returned; 1: `VersionConflict`; 2: anything else."""
    start, go = os.pipe()
    children = []
    for action in actions:
        child = os.fork()
        if child == 0:
            os.close(go)
            os.read(start, 1)  # until the parent closes its end
            end_with(action)
        children.append(child)
    os.close(start)
    os.close(go)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def end_with(action: Callable[[], object]) -> None:
    status = 2
    try:
        action()
        status = 0
    except VersionConflict:
        status = 1
    except BaseException:  # noqa: BLE001 (a child must not go on with the parent's tests)
        traceback.print_exc()
    finally:
        os._exit(status)


def make_the_first_key(folder: Path) -> None:
    DataProtection("shop", repository=str(folder)).create_protector("p").protect("x")


KINDS: dict[str, Callable[[pytest.MonkeyPatch], object]] = {
    "an ordinary mount": lambda _: None,
    "no hard links": lambda monkeypatch: break_call(monkeypatch, "link", ENOTSUPP),
    "no locks": lambda monkeypatch: break_call(monkeypatch, "flock", errno.EOPNOTSUPP),
    "locks that exclude nobody": lock_nobody_out,
    "no locks and no hard links": lambda monkeypatch: (
        break_call(monkeypatch, "flock", errno.ENOSYS),
        break_call(monkeypatch, "link", errno.EPERM),
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_of_many_processes_that_start_at_once_one_makes_the_key(
    kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    KINDS[kind](monkeypatch)
    assert ends_of([partial(make_the_first_key, folder)] * 8) == [0] * 8
    assert len(names(folder)) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_of_many_commits_at_one_version_one_is_made(kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    KINDS[kind](monkeypatch)
    repository = FileKeyRepository(folder)
    for made in range(1, 4):
        version = repository.version()
        attempts = [partial(repository.commit, add=[document()], expected=version) for _ in range(8)]
        assert sorted(ends_of(attempts)) == [0] + [1] * 7
        assert len(names(folder)) == made


# --- mounts that are really odd --------------------------------------------------------------------------------------


MOUNTS = {
    "exfat": ["mkfs.exfat {image}", "mount -t exfat-fuse -o loop {image} {at}"],
    "ntfs": ["mkfs.ntfs -F -q {image}", "ntfs-3g {image} {at}"],
    "two mounts of one folder": ["bindfs {back} {at}", "bindfs {back} {again}"],
    "overlay": ["mount -t overlay overlay -o lowerdir={again},upperdir={back},workdir={work} {at}"],
    "tmpfs": ["mount -t tmpfs -o size=1m tmpfs {at}"],
}


@pytest.fixture(params=MOUNTS)
def odd_mounts(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[Path]]:
    """The mount points, which show the same files: exfat has no hard links, two FUSE mounts have separate locks."""
    places = {name: tmp_path / name for name in ("image", "at", "back", "again", "work")}
    for name, place in places.items():
        place.touch() if name == "image" else place.mkdir()
    os.truncate(places["image"], 16 * 1024 * 1024)
    commands = [command.format(**places).split() for command in MOUNTS[request.param]]
    try:
        for command in commands:
            if not shutil.which(command[0]) or subprocess.run(command, capture_output=True, check=False).returncode:
                pytest.skip(f"{command[0]} is not possible here: it needs root and the file system's tools")
        yield [places[name] for name in ("at", "again") if os.path.ismount(places[name])]
    finally:
        for name in ("at", "again"):
            subprocess.run(["umount", places[name]], capture_output=True, check=False)


def test_on_a_mount_that_is_odd_one_key_is_made(odd_mounts: list[Path]) -> None:
    starts = [partial(make_the_first_key, odd_mounts[number % len(odd_mounts)] / "keys") for number in range(8)]
    assert ends_of(starts) == [0] * 8
    assert [len(names(each / "keys")) for each in odd_mounts] == [1] * len(odd_mounts)


# --- killed or stopped in the middle ---------------------------------------------------------------------------------

STEPS = [(os, name) for name in ("open", "write", "fsync", "link", "rename", "replace", "unlink")]


def at_step(number: int, act: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Call ``act`` before the call of this number of all that change the folder."""
    calls = iter(range(sys.maxsize))

    def counted(real: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        if next(calls) == number:
            act()
        return real(*arguments, **named)

    for module, name in STEPS:
        monkeypatch.setattr(module, name, partial(counted, getattr(module, name)))


def start(action: Callable[[], object]) -> int:
    child = os.fork()
    if child == 0:
        end_with(action)
    return child


def signal_self(number: int) -> None:
    """To this thread, which goes no further. A signal to the process may arrive at another thread first."""
    signal.pthread_kill(threading.get_ident(), number)


@pytest.fixture(params=["an ordinary mount", "no locks and no hard links"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    KINDS[request.param](monkeypatch)
    monkeypatch.setattr(folder_lock, "SECONDS_UNCHANGED", 0.1)
    monkeypatch.setattr(folder_lock, "SECONDS_OF_DEAD", 0.05)
    return str(request.param)


def rewrap(repository: FileKeyRepository, kept: StoredDocument, replaced: StoredDocument, version: str) -> None:
    """A commit with all five steps."""
    new = StoredDocument(replaced.name, b"<key>wrapped again</key>")
    gone = stored(repository, b"<key>gone</key>")
    repository.commit(add=[new, kept], remove=[stored(repository, replaced.data), gone], expected=version)


def test_kill_9_at_any_step_loses_nothing_and_locks_nobody_out(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in range(200):
        folder = tmp_path / str(step)
        repository = FileKeyRepository(folder)
        old, new, after, gone = document(), document(), document(), StoredDocument("key-gone", b"<key>gone</key>")
        commit(repository, old, gone)
        with monkeypatch.context() as patched:
            at_step(step, partial(signal_self, signal.SIGKILL), patched)
            child = start(partial(rewrap, repository, new, old, repository.version()))
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert status in {0, -signal.SIGKILL}
        commit(repository, after)
        found = contents(repository)
        assert (old.data in found) != (b"<key>wrapped again</key>" in found)
        assert after.data in found
        assert all(each.endswith(b"</key>") for each in found)
        assert all(name.endswith(".xml") for name in names(folder)), "something is left over"
        if status == 0:
            assert step > 10, "the steps were not counted"
            return
    pytest.fail("the commit did not end")


def test_a_commit_that_is_stopped_while_another_takes_its_lock_is_not_made_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A virtual machine that is paused in a commit: when it continues, another process has committed."""
    KINDS["no locks"](monkeypatch)
    monkeypatch.setattr(folder_lock, "SECONDS_UNCHANGED", 0.1)
    outcomes: set[tuple[int, int]] = set()
    for step in range(200):
        folder = tmp_path / str(step)
        repository = FileKeyRepository(folder)
        first = document()
        commit(repository, first)
        version = repository.version()
        with monkeypatch.context() as patched:
            at_step(step, partial(signal_self, signal.SIGSTOP), patched)
            child = start(partial(repository.commit, add=[document(), document()], expected=version))
            _, status = os.waitpid(child, os.WUNTRACED)
        if os.WIFEXITED(status):
            assert os.waitstatus_to_exitcode(status) == 0
            assert outcomes == {(0, 1), (1, 0), (1, 1)}, "one of two, or half of a commit as after a crash"
            return
        ours, made = document(), 0
        try:
            repository.commit(add=[ours], expected=version)
        except VersionConflict:
            made = 1
            commit(repository, ours)
        relied_on = contents(repository)
        os.kill(child, signal.SIGCONT)
        theirs = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        outcomes.add((made, theirs))
        if made == 0:
            assert contents(repository) == sorted([first.data, ours.data])
        else:
            assert set(relied_on) <= set(contents(repository)), "another process may have used these keys"
    pytest.fail("the commit did not end")


def test_a_holder_that_lives_is_waited_for_however_long_nothing_changes(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that takes long: where locks work, nobody takes over from a living process."""
    repository = FileKeyRepository(folder)
    commit(repository, document())
    monkeypatch.setattr(folder_lock, "SECONDS_UNCHANGED", 0.05)
    monkeypatch.setattr(folder_lock, "SECONDS_TO_WAIT", 0.4)
    with folder_lock.folder_lock(folder) as held:
        with pytest.raises(RepositoryError, match="another process holds the lock") as caught:
            commit(repository, document())
        assert "find the process that holds .dpmiddleware.lock" in caught.value.hint
        assert held()


LEFT: dict[str, tuple[str, bool]] = {
    "of this machine": (f"{platform.node()}\n0123", True),
    "of another machine": ("another-machine\n0123", False),
    "of a machine whose name begins alike": (f"{platform.node()}2\n0123", False),
    "of a process killed before it wrote into it": ("", False),
    "of a mount without locks": ("0123", False),
}


@pytest.mark.parametrize("left", LEFT)
def test_a_lock_that_is_left_is_taken_over(left: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At once if the operating system shows that its holder ended; else when nothing has changed for some time."""
    text, shown = LEFT[left]
    folder.mkdir()
    (folder / folder_lock.LOCK_NAME).write_text(text)
    monkeypatch.setattr(folder_lock, "SECONDS_OF_DEAD", 0.02)
    repository = FileKeyRepository(folder)
    if not shown:
        with monkeypatch.context() as impatient, pytest.raises(RepositoryError, match="another process holds the lock"):
            impatient.setattr(folder_lock, "SECONDS_TO_WAIT", 0.3)
            commit(repository, document())
        monkeypatch.setattr(folder_lock, "SECONDS_UNCHANGED", 0.02)
    commit(repository, document())
    assert len(names(folder)) == 1


def test_a_holder_that_makes_progress_is_not_abandoned(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a mount without locks, each file that the holder writes starts the watch again."""
    KINDS["no locks"](monkeypatch)
    folder.mkdir()
    monkeypatch.setattr(folder_lock, "SECONDS_UNCHANGED", 0.2)
    monkeypatch.setattr(folder_lock, "SECONDS_TO_WAIT", 1.0)
    files = iter(range(1000))
    sleep = time.sleep

    def progress(seconds: float) -> None:
        (folder / f".dpmiddleware-{next(files)}.tmp").touch()
        sleep(seconds)

    with folder_lock.folder_lock(folder) as held:
        monkeypatch.setattr(time, "sleep", progress)
        with pytest.raises(RepositoryError, match="another process holds the lock"):
            commit(FileKeyRepository(folder), document())
        assert held()


def test_the_lock_of_another_user_is_watched_although_it_cannot_be_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.mkdir()
    (folder / folder_lock.LOCK_NAME).write_text("x")
    real = os.open

    def open_own(path: Any, flags: int, *arguments: Any, **named: Any) -> int:
        if Path(path).name == folder_lock.LOCK_NAME and not flags & os.O_EXCL:
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(path, flags, *arguments, **named)

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", open_own)
        patched.setattr(folder_lock, "SECONDS_UNCHANGED", 0.05)
        commit(FileKeyRepository(folder), document())
    assert len(names(folder)) == 1
