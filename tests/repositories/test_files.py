"""Keys in a folder: the contract, and what is specific to files."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dpmiddleware.errors import ConfigurationError, RepositoryError, VersionConflict
from dpmiddleware.keys.interfaces import StoredDocument
from dpmiddleware.repositories import files, folder_lock
from dpmiddleware.repositories.files import FileKeyRepository
from dpmiddleware.repositories.folder import Entry, read_document
from dpmiddleware.testing.contracts.repository import RepositoryContract
from dpmiddleware.testing.contracts.store import Store, commit, contents, document, refusal, stored
from dpmiddleware.testing.contracts.together import in_a_fork
from tests.repositories.folder import Folder

posix = pytest.mark.skipif(sys.platform == "win32", reason="modes, links and FIFOs are POSIX's")
NOBODY = 65534
# Python 3.12 and later warn about what is tested here: forking a process with threads.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


class TestFiles(RepositoryContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        return Folder(tmp_path / "keys")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "keys"


@pytest.fixture
def repository(folder: Path) -> FileKeyRepository:
    return FileKeyRepository(folder)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != folder_lock.LOCK_NAME)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# --- names, places, modes -------------------------------------------------------------------------------------------


def test_reading_makes_no_folder(folder: Path, repository: FileKeyRepository) -> None:
    repository.read()
    repository.version()
    assert repository.findings() == []
    assert not folder.exists()


def test_files_are_called_as_net_calls_them(folder: Path, repository: FileKeyRepository) -> None:
    key = document()
    commit(repository, key, document(name="revocation-20260102T030405678Z"))
    assert names(folder) == [f"{key.name}.xml", "revocation-20260102T030405678Z.xml"]


@pytest.mark.parametrize("name", [None, "", "../evil", "a.b", "key é", "a/b", "x\0y", "nul:", "a\n"])
def test_a_name_that_net_would_not_take_becomes_a_random_one(
    name: str | None, tmp_path: Path, folder: Path, repository: FileKeyRepository
) -> None:
    commit(repository, StoredDocument(name, b"<key />"), StoredDocument(name, b"<other />"))
    assert contents(repository) == [b"<key />", b"<other />"]
    assert all(len(each) == len("00112233-4455-6677-8899-aabbccddeeff.xml") for each in names(folder))
    assert list(tmp_path.iterdir()) == [folder]


@posix
def test_files_are_private_in_a_folder_that_is_private(tmp_path: Path) -> None:
    folder = tmp_path / "var" / "keys"
    previous = os.umask(0)
    try:
        commit(FileKeyRepository(folder), document())
    finally:
        os.umask(previous)
    assert mode(folder) == 0o700
    assert {mode(path) for path in folder.iterdir()} == {0o600}


@posix
def test_a_folder_that_is_there_keeps_its_mode(folder: Path, repository: FileKeyRepository) -> None:
    folder.mkdir()
    folder.chmod(0o775)
    commit(repository, document())
    assert mode(folder) == 0o775


@posix
@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="only root makes files for others")
def test_what_root_makes_in_the_private_folder_of_a_user_is_that_users(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    os.chown(folder, NOBODY, NOBODY)
    commit(FileKeyRepository(folder), document())
    assert {(path.stat().st_uid, mode(path)) for path in folder.iterdir()} == {(NOBODY, 0o600)}


@pytest.mark.parametrize("name", ["key.xml.tmp", "key.bak", "key.XML", "xml", ".key.tmp"])
def test_other_files_are_not_looked_at(name: str, folder: Path, repository: FileKeyRepository) -> None:
    commit(repository, document())
    version = repository.version()
    (folder / name).write_bytes(b"not a key")
    assert len(repository.read().documents) == 1
    assert repository.version() == version


@pytest.mark.parametrize(
    ("url", "path"),
    [
        pytest.param("/var/lib/shop/keys", "/var/lib/shop/keys", id="absolute"),
        pytest.param("keys", os.path.abspath("keys"), id="relative"),  # noqa: PTH100
        pytest.param("~/keys", str(Path.home() / "keys"), id="home"),
        pytest.param("file:///var/lib/shop%20one/keys", "/var/lib/shop one/keys", id="file"),
        pytest.param("file://localhost/keys", "/keys", id="file on localhost"),
        pytest.param("/odd/%20/keys", "/odd/%20/keys", id="a path is taken as it stands"),
    ],
)
@posix
def test_a_url_or_a_path_names_a_folder(url: str, path: str) -> None:
    assert FileKeyRepository.from_url(url).location == path


@pytest.mark.parametrize("url", ["", "a\0b", "file://server/share", "file:///keys?mode=ro", "file:///keys#x"])
@posix
def test_a_url_that_names_no_folder_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        FileKeyRepository.from_url(url)
    assert caught.value.hint


def test_the_folder_is_the_one_meant_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    repository = FileKeyRepository("keys")
    monkeypatch.chdir("/")
    commit(repository, document())
    assert (tmp_path / "keys").is_dir()


# --- what may be in the folder ---------------------------------------------------------------------------------------


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(path))  # the whole path may be too long for a socket


def make_huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(100 * 1024 * 1024)


@posix
@pytest.mark.parametrize(
    ("make", "problem"),
    [
        pytest.param(os.mkfifo, "not a regular file", id="a FIFO"),
        pytest.param(Path.mkdir, "not a regular file", id="a folder"),
        pytest.param(make_socket, "not a regular file", id="a socket"),
        pytest.param(lambda path: path.symlink_to("/etc/passwd"), "a link to outside the folder", id="a link out"),
        pytest.param(
            lambda path: path.symlink_to("/dev/zero"), "a link to outside the folder", id="a link to a device"
        ),
        pytest.param(lambda path: path.symlink_to(".."), "a link to outside the folder", id="a link to a folder"),
        pytest.param(lambda path: path.symlink_to("gone"), "a link that leads nowhere", id="a dangling link"),
        pytest.param(lambda path: path.symlink_to(path.name), "a link that leads nowhere", id="a link to itself"),
        pytest.param(Path.touch, "empty", id="an empty file"),
        pytest.param(make_huge, "larger than 64 KB", id="100 MB"),
        pytest.param(lambda path: path.write_bytes(b"<a>" * 233_334), "larger than 64 KB", id="700 KB"),
        pytest.param(lambda path: path.write_bytes(b" " * 65_537), "larger than 64 KB", id="one byte too many"),
    ],
)
def test_what_is_no_document_is_named_and_not_read(
    make: Callable[[Path], object], problem: str, folder: Path, repository: FileKeyRepository
) -> None:
    good = document()
    commit(repository, good)
    make(folder / "key-odd.xml")
    found = {each.name: (each.data, each.problem) for each in repository.read().documents}
    assert found == {good.name: (good.data, ""), "key-odd": (b"", problem)}


def test_a_document_may_be_as_large_as_the_limit(repository: FileKeyRepository) -> None:
    largest = StoredDocument("key-large", b"<a>" + b" " * (65_536 - 7) + b"</a>")
    commit(repository, largest)
    assert contents(repository) == [largest.data]


@posix
def test_a_mount_of_kubernetes_is_read_and_its_swap_noticed(folder: Path, repository: FileKeyRepository) -> None:
    for revision, text in (("..2026_01", "<old />"), ("..2026_02", "<new />")):
        (folder / revision).mkdir(parents=True)
        (folder / revision / "key-1.xml").write_text(text)
    (folder / "..data").symlink_to("..2026_01")
    (folder / "key-1.xml").symlink_to("..data/key-1.xml")
    before = repository.read()
    assert [each.data for each in before.documents] == [b"<old />"]
    (folder / "..data_tmp").symlink_to("..2026_02")
    (folder / "..data_tmp").rename(folder / "..data")
    assert repository.version() != before.version
    assert contents(repository) == [b"<new />"]


SWAPS: dict[str, Callable[[Path, Path], object]] = {
    "the link": lambda folder, outside: replace_by_link(folder / "key-1.xml", outside / "key-1.xml"),
    "a folder on the way": lambda folder, outside: replace_by_link(folder / "..2026", outside),
    "the file": lambda folder, outside: replace_by_link(folder / "..2026" / "key-1.xml", outside / "key-1.xml"),
}


def replace_by_link(path: Path, target: Path) -> None:
    path.rename(path.with_name("moved-away"))
    path.symlink_to(target)


@posix
@pytest.mark.parametrize("swap", SWAPS)
@pytest.mark.parametrize(
    "moment", ["before it is listed", "between listing and looking", "between looking and opening"]
)
def test_a_link_swapped_after_the_check_leads_nowhere_outside(
    moment: str, swap: str, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The link was resolved once to be checked, and again to be opened."""
    outside = tmp_path / "outside"
    for place, text in ((folder / "..2026", "<inside />"), (outside, "<outside />")):
        place.mkdir(parents=True)
        (place / "key-1.xml").write_text(text)
    (folder / "key-1.xml").symlink_to("..2026/key-1.xml")
    pending = [lambda: SWAPS[swap](folder, outside)]
    at = {"before it is listed": "list_documents", "between listing and looking": "obstacle"}.get(
        moment, "read_document"
    )
    real = getattr(files, at)

    def swapped(*arguments: object) -> object:
        if pending:
            pending.pop()()
        return real(*arguments)

    monkeypatch.setattr(files, at, swapped)
    assert [each.data for each in FileKeyRepository(folder).read().documents if each.data] == []
    assert not pending


@posix
def test_a_link_to_a_folder_is_as_good(tmp_path: Path, repository: FileKeyRepository, folder: Path) -> None:
    commit(repository, document())
    (tmp_path / "link").symlink_to(folder)
    assert contents(FileKeyRepository(tmp_path / "link")) == contents(repository)


@posix
@pytest.mark.parametrize(
    "make",
    [
        pytest.param(Path.touch, id="a file"),
        pytest.param(lambda path: path.symlink_to("not-mounted"), id="a link to nothing"),
    ],
)
def test_what_is_no_folder_is_an_error_and_not_an_empty_store(
    make: Callable[[Path], object], folder: Path, repository: FileKeyRepository
) -> None:
    make(folder)
    with refusal(repository):
        repository.read()
    with refusal(repository):
        repository.version()


# --- what cannot be read or written ---------------------------------------------------------------------------------


@contextmanager
def common_folder() -> Generator[Path]:
    """A folder that an ordinary user can reach; root's temporary folder cannot be."""
    with tempfile.TemporaryDirectory(prefix="dpmiddleware-") as path:
        Path(path).chmod(0o755)
        (Path(path) / "keys").mkdir()
        yield Path(path) / "keys"


def as_an_ordinary_user(action: Callable[[], object]) -> None:
    def run() -> None:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        action()

    in_a_fork(run)


@posix
def test_a_document_that_may_not_be_read_is_an_error_and_not_left_out() -> None:
    with common_folder() as folder:
        repository = FileKeyRepository(folder)
        commit(repository, document(), document(name="revocation-20260102T030405Z"))
        (folder / "revocation-20260102T030405Z.xml").chmod(0)

        def read() -> None:
            with pytest.raises(RepositoryError, match="revocation-20260102T030405Z") as caught:
                repository.read()
            assert caught.value.hint

        for path in folder.glob("key-*"):
            path.chmod(0o644)
        as_an_ordinary_user(read)


@posix
def test_a_folder_that_may_not_be_listed_is_an_error() -> None:
    with common_folder() as folder:
        folder.chmod(0)
        repository = FileKeyRepository(folder)

        def read() -> None:
            for action in (repository.read, repository.version):
                with refusal(repository):
                    action()

        as_an_ordinary_user(read)


@posix
def test_a_read_only_folder_is_an_error_with_a_hint_and_nothing_is_left_behind() -> None:
    with common_folder() as folder:
        repository = FileKeyRepository(folder)

        def write() -> None:
            with refusal(repository):
                commit(repository, document())

        folder.chmod(0o555)
        as_an_ordinary_user(write)
        assert list(folder.iterdir()) == []


@posix
def test_a_folder_that_may_not_be_made_is_an_error() -> None:
    with common_folder() as folder:
        repository = FileKeyRepository(folder / "deeper")
        folder.chmod(0o555)

        def write() -> None:
            with refusal(repository):
                commit(repository, document())

        as_an_ordinary_user(write)


@posix
def test_a_file_too_large_for_the_limits_of_the_process_leaves_nothing_behind(
    folder: Path, repository: FileKeyRepository
) -> None:
    import resource

    commit(repository, document())
    before = names(folder), repository.version()

    def write() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        with refusal(repository):
            commit(repository, document(), document(name="revocation-20260102T030405Z"), document("x" * 2000))

    in_a_fork(write)
    assert (names(folder), repository.version()) == before


@posix
def test_a_full_disk_is_an_error_with_a_hint_and_nothing_is_left_behind(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        repository = FileKeyRepository(disk / "keys")
        commit(repository, document())
        before = names(disk / "keys"), repository.version()
        with (disk / "ballast").open("wb", buffering=0) as ballast, pytest.raises(OSError, match="space"):
            while True:
                ballast.write(b"x" * 4096)
        with refusal(repository):
            commit(repository, document(), document())
        assert (names(disk / "keys"), repository.version()) == before
        (disk / "ballast").unlink()
        commit(repository, document(), document())
        assert len(contents(repository)) == 3
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("locator", ["", "../outside.xml", "/etc/passwd", "key.tmp", "sub/key.xml", ".."])
def test_only_documents_of_the_folder_are_taken_away(
    locator: str, tmp_path: Path, folder: Path, repository: FileKeyRepository
) -> None:
    commit(repository, document())
    (tmp_path / "outside.xml").touch()
    with refusal(repository):
        repository.commit(remove=[StoredDocument(None, b"", locator)], expected=repository.version())
    assert (tmp_path / "outside.xml").exists()
    assert len(names(folder)) == 1


# --- the lock -------------------------------------------------------------------------------------------------------


@contextmanager
def lock_held_elsewhere(folder: Path) -> Generator[subprocess.Popen[bytes]]:
    code = (
        "import sys; from pathlib import Path; from dpmiddleware.repositories.folder_lock import folder_lock\n"
        "with folder_lock(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline().strip() == b"held"
            yield holder
        finally:
            holder.kill()


def test_who_waits_too_long_for_the_lock_is_told_so(
    folder: Path, repository: FileKeyRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(repository, document())
    monkeypatch.setattr(folder_lock, "SECONDS_TO_WAIT", 0.2)
    with lock_held_elsewhere(folder):
        assert len(repository.read().documents) == 1  # readers do not wait for the lock
        with refusal(repository):
            commit(repository, document())
    assert len(names(folder)) == 1


def test_the_lock_of_a_killed_process_is_free(folder: Path, repository: FileKeyRepository) -> None:
    commit(repository, document())
    with lock_held_elsewhere(folder) as holder:
        holder.kill()
        holder.wait()
        commit(repository, document())
    assert len(names(folder)) == 2


@posix
def test_a_child_forked_during_a_commit_does_not_keep_the_lock(folder: Path, repository: FileKeyRepository) -> None:
    commit(repository, document())
    release, wait = os.pipe()
    with folder_lock.folder_lock(folder):
        child = os.fork()
        if child == 0:
            os.close(wait)
            os.read(release, 1)  # lives until the parent is done
            os._exit(0)
        (descriptor,) = folder_lock._held
        os.dup2(os.open(os.devnull, os.O_RDONLY), descriptor)  # as if the parent had been killed, without unlocking
        held = os.fstat(descriptor)
        assert stat.S_ISCHR(held.st_mode)
        commit(repository, document())
    os.close(wait)
    os.waitpid(child, 0)


@posix
@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda path, victim: path.symlink_to(victim), id="a link"),
        pytest.param(lambda path, victim: os.mkfifo(path), id="a FIFO"),
        pytest.param(lambda path, victim: path.mkdir(), id="a folder"),
    ],
)
def test_something_else_in_place_of_the_lock_is_an_error(
    make: Callable[[Path, Path], object], tmp_path: Path, folder: Path, repository: FileKeyRepository
) -> None:
    folder.mkdir()
    make(folder / folder_lock.LOCK_NAME, tmp_path / "victim")
    with refusal(repository):
        commit(repository, document())
    assert not (tmp_path / "victim").exists()
    assert names(folder) == []


# --- crashes and crowds -----------------------------------------------------------------------------------------------


def test_what_a_killed_commit_left_is_cleared_away_by_the_next(folder: Path, repository: FileKeyRepository) -> None:
    commit(repository, document())
    (folder / ".dpmiddleware-0123.tmp").write_bytes(b"<key>half a key")
    (folder / "0123.tmp").write_bytes(b"somebody else's")
    commit(repository, document())
    assert [name for name in names(folder) if name.endswith(".tmp")] == ["0123.tmp"]


def number_of(stored_document: StoredDocument) -> int:
    return int((stored_document.name or "").partition("-")[2])


def commit_for_ever(repository: FileKeyRepository) -> None:
    """Each round adds a revocation and a key, removes the oldest key, and replaces the newest."""
    while True:
        snapshot = repository.read()
        keys = sorted((each for each in snapshot.documents if (each.name or "").startswith("key-")), key=number_of)
        number = max(map(number_of, snapshot.documents), default=0) + 1
        newest = keys[-1:]
        repository.commit(
            add=[
                StoredDocument(f"key-{number}", f"<key id='{number}'>{'k' * 3000}</key>".encode()),
                StoredDocument(f"revocation-{number}", b"<revocation>all before</revocation>"),
                *(StoredDocument(each.name, each.data.replace(b">", b" again='1'>", 1)) for each in newest),
            ],
            remove=[*newest, *(keys[:-3] if len(keys) > 3 else [])],
            expected=snapshot.version,
        )


def commit_until_killed(repository: FileKeyRepository) -> int:
    child = os.fork()
    if child == 0:
        try:
            commit_for_ever(repository)
        except BaseException:  # noqa: BLE001 (a child must not go on with the parent's tests)
            traceback.print_exc()
        finally:
            os._exit(1)
    return child


def kill_and_look(folder: Path, kills: int) -> None:
    repository = FileKeyRepository(folder)
    revocations: set[str] = set()
    pause = threading.Event()
    for number in range(kills):
        before = repository.version()
        child = commit_until_killed(repository)
        while repository.version() == before:  # until it works
            assert os.waitpid(child, os.WNOHANG) == (0, 0), "the child gave up; see its traceback above"
            pause.wait(0.001)
        pause.wait(number * 7919 % 1000 / 50_000)  # at another moment each time, up to 20 ms
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        snapshot = repository.read()
        assert snapshot.version == repository.version() == repository.read().version
        assert not [each.problem for each in snapshot.documents if each.problem]
        assert all(each.data.endswith((b"</key>", b"</revocation>")) for each in snapshot.documents)
        found = {each.name or "" for each in snapshot.documents}
        assert revocations <= found, "a revocation was lost"
        revocations = {name for name in found if name.startswith("revocation-")}
        keys = {name.removeprefix("key-") for name in found if name.startswith("key-")}
        assert keys <= {name.removeprefix("revocation-") for name in revocations}, "a key before its revocation"
        assert len(keys) >= min(3, len(revocations) - 1), "a key that nobody removed is gone"
    assert len(revocations) >= kills
    commit(repository, document())
    assert not [path for path in folder.iterdir() if path.suffix == ".tmp"]


@posix
def test_kill_9_at_any_moment_leaves_a_readable_ring(folder: Path) -> None:
    kill_and_look(folder, 25)


@posix
@pytest.mark.soak
def test_kill_9_a_thousand_times(folder: Path) -> None:
    kill_and_look(folder, 1000)


@posix
@pytest.mark.parametrize("there", [False, True], ids=["no folder yet", "a ring is there"])
def test_of_twenty_processes_at_one_version_one_wins(there: bool, folder: Path, repository: FileKeyRepository) -> None:
    if there:
        commit(repository, document())
    expected = repository.version()
    before = len(contents(repository))
    start, go = os.pipe()
    children = []
    for _ in range(20):
        child = os.fork()
        if child == 0:
            status = 2
            try:
                os.close(go)
                os.read(start, 1)  # all at the same time, when the parent closes its end
                FileKeyRepository(folder).commit(add=[document()], expected=expected)
                status = 0
            except VersionConflict:
                status = 1
            finally:
                os._exit(status)
        children.append(child)
    os.close(start)
    os.close(go)
    statuses = sorted(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)
    assert statuses == [0] + [1] * 19
    assert len(contents(repository)) == before + 1


def test_who_reads_while_others_write_sees_whole_commits(folder: Path, repository: FileKeyRepository) -> None:
    """Pairs are committed and removed together: half a pair is never read."""
    done = threading.Event()

    def write() -> None:
        while not done.is_set():
            pair = [StoredDocument(f"key-{side}", b"<key />") for side in ("left", "right")]
            commit(repository, *pair)
            snapshot = repository.read()
            repository.commit(remove=snapshot.documents, expected=snapshot.version)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        reader = FileKeyRepository(folder)
        sizes = [len(reader.read().documents) for _ in range(30)]
    finally:
        done.set()
        writer.join()
    assert set(sizes) <= {0, 2}


@pytest.mark.parametrize("change", ["rewritten in place", "replaced", "removed", "joined by another"])
def test_what_moves_behind_the_reader_is_read_again(
    change: str, folder: Path, repository: FileKeyRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first file changes after it was read and before the last one is."""
    folder.mkdir()
    for name in ("key-a", "key-b"):
        (folder / f"{name}.xml").write_bytes(b"<key>1</key>")
    first = folder / "key-a.xml"
    changes: dict[str, Callable[[], object]] = {
        "rewritten in place": lambda: first.write_bytes(b"<key>another size</key>"),
        "replaced": lambda: (folder / "new").write_bytes(b"<key>2</key>") and (folder / "new").replace(first),
        "removed": first.unlink,
        "joined by another": lambda: (folder / "key-0.xml").write_bytes(b"<key>1</key>"),
    }
    pending, opened = [changes[change]], list[str]()

    def read(entry: Entry) -> bytes:
        opened.append(entry.name)
        if entry.name == "key-b.xml" and pending:
            pending.pop()()
        return read_document(entry)

    monkeypatch.setattr("dpmiddleware.repositories.files.read_document", read)
    snapshot = repository.read()
    now_there = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert {document.locator: document.data for document in snapshot.documents} == now_there
    assert snapshot.version == repository.version()
    assert opened == ["key-a.xml", "key-b.xml", *sorted(now_there)]


def test_the_version_is_told_without_opening_a_file(folder: Path, repository: FileKeyRepository) -> None:
    commit(repository, document(), document())
    code = (
        "import sys; from dpmiddleware.repositories.files import FileKeyRepository\n"
        "repository = FileKeyRepository(sys.argv[1]); opened = []\n"
        "sys.addaudithook(lambda event, given: opened.append(given[0]) if event == 'open' else None)\n"
        "repository.version(); assert not opened, opened\n"
        "repository.read(); assert len({path for path in opened if isinstance(path, str)}) == 2, opened"
    )
    subprocess.run([sys.executable, "-c", code, str(folder)], check=True)


# --- findings -------------------------------------------------------------------------------------------------------


@posix
@pytest.mark.parametrize(
    ("folder_mode", "file_mode", "words"),
    [
        pytest.param(0o700, 0o600, [], id="private"),
        pytest.param(0o755, 0o600, [], id="others may look, not read"),
        pytest.param(0o700, 0o644, [], id="others do not get in"),
        pytest.param(0o755, 0o644, ["read by every user"], id="others may read"),
        pytest.param(0o770, 0o600, ["writable by others"], id="the group may write"),
        pytest.param(0o777, 0o666, ["writable by others", "read by every user"], id="everybody may do everything"),
    ],
)
def test_modes_that_let_others_in_are_findings(
    folder_mode: int, file_mode: int, words: list[str], folder: Path, repository: FileKeyRepository
) -> None:
    commit(repository, document())
    folder.chmod(folder_mode)
    for path in folder.glob("*.xml"):
        path.chmod(file_mode)
    findings = repository.findings()
    assert len(findings) == len(words)
    assert all(word in finding.text for word, finding in zip(words, findings, strict=True))


@posix
@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="only root can give a folder away")
def test_a_foreign_owner_is_a_finding_and_no_refusal(folder: Path, repository: FileKeyRepository) -> None:
    folder.mkdir()
    os.chown(folder, NOBODY, NOBODY)
    commit(repository, document())
    (finding,) = repository.findings()
    assert f"uid {NOBODY}" in finding.text


def test_a_replacement_is_renamed_over_the_file(folder: Path, repository: FileKeyRepository) -> None:
    old = document()
    commit(repository, old)
    new = StoredDocument(old.name, b"<key>wrapped again</key>")
    repository.commit(add=[new], remove=[stored(repository, old.data)], expected=repository.version())
    assert names(folder) == [f"{old.name}.xml"]
    assert contents(repository) == [new.data]


def test_a_commit_tells_the_version_after_it(repository: FileKeyRepository) -> None:
    version = repository.commit(add=[document(), document()], expected=repository.version())
    assert version == repository.version() == repository.read().version
    old, kept = repository.read().documents
    new = StoredDocument(old.name, b"<key>wrapped again</key>")
    again = repository.commit(add=[new], remove=[old], expected=version or "")
    assert again == repository.version()
    assert repository.commit(remove=[kept], expected=again or "") == repository.version()


@pytest.mark.parametrize("late", ["another file", "another text"])
def test_a_commit_that_another_program_interferes_with_tells_no_version(
    late: str, folder: Path, repository: FileKeyRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """.NET takes no lock."""
    old, new = document(), document()
    commit(repository, old)

    def sync_folder(path: Path) -> None:
        name = "key-of-another.xml" if late == "another file" else f"{new.name}.xml"
        path.joinpath(name).write_bytes(b"<key/>")

    expected = repository.version()
    monkeypatch.setattr(files, "sync_folder", sync_folder)
    assert repository.commit(add=[new], expected=expected) is None
