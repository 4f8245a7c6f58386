"""``dpm keys list``, ``copy`` and ``import`` of 10,000 keys under a certificate, each in a process of its own.

``list`` is compared with parsing the same documents; ``copy`` and ``import`` with writing the same files one after the
other, each synced to disk. All are measured in turns, so that other load on the machine slows them alike.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

from benchmarks.payloads import ring_of
from dpmiddleware import DataProtection
from dpmiddleware.cli.init.material import certificate
from dpmiddleware.keys import wrapping, xml
from dpmiddleware.keys.interfaces import StoredDocument
from dpmiddleware.repositories.markup import edit

__all__ = ["report"]

KEYS = 10_000
ROUNDS = 3
LIST_GOAL = 4.0
"""Times the parsing. With all keys unwrapped, it is 16 times."""
WRITE_GOAL = 1.0
"""Times the writing of single files, which a commit shortens: files that are synced together wait together."""


def report() -> tuple[str, bool]:
    """Lines for people, and whether the goals were reached."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        _make_ring(place)
        turns = [
            (
                _seconds(_parse, place),
                _seconds(_write, place),
                *(_seconds(verb, place) for verb in (_list, _copy, _import)),
            )
            for _ in range(ROUNDS)
        ]
    parsing, writing, listing, copying, importing = (statistics.median(each) for each in zip(*turns, strict=True))
    ratios = (listing / parsing, copying / writing, importing / writing)
    text = (
        f"{KEYS:,} keys under a certificate, in files:\n"
        f"  list   {listing:5.2f} s, {ratios[0]:.2f} of parsing alone ({parsing:.2f} s), goal {LIST_GOAL}\n"
        f"  copy   {copying:5.2f} s, {ratios[1]:.2f} of writing file by file ({writing:.2f} s), goal {WRITE_GOAL}\n"
        f"  import {importing:5.2f} s, {ratios[2]:.2f} of the same, goal {WRITE_GOAL}"
    )
    return text, ratios[0] <= LIST_GOAL and max(ratios[1:]) <= WRITE_GOAL


def _make_ring(place: Path) -> None:
    pem = place / "ring.pem"
    pem.write_text(certificate("bench"))
    pem.chmod(0o600)
    manager = DataProtection("bench", repository="memory:", key_wrapper=f"x509://{pem}").manager
    ring = place / "ring"
    ring.mkdir()
    wrapped: list[StoredDocument] = []
    for stored in ring_of(KEYS, manager.now()).read().documents:
        element = xml.parse(stored.data)
        wrapping.wrap(element, manager.wrappers[0], "bench")
        wrapped.append(StoredDocument(stored.name, xml.dump(element)))
        (ring / f"{stored.name}.xml").write_bytes(wrapped[-1].data)
    (place / "ring.xml").write_bytes(edit(b"", wrapped, ()))


def _parse(place: Path) -> None:
    for path in (place / "ring").iterdir():
        ET.fromstring(path.read_bytes())  # noqa: S314 (our own files)


def _write(place: Path) -> None:
    target = _fresh(place)
    target.mkdir()
    for path in (place / "ring").iterdir():
        with (target / path.name).open("wb") as file:
            file.write(path.read_bytes())
            file.flush()
            os.fsync(file.fileno())


def _list(place: Path) -> None:
    _dpm(place, "list", "--repository", str(place / "ring"))


def _copy(place: Path) -> None:
    _dpm(place, "copy", "--repository", str(place / "ring"), "--to", str(_fresh(place)))


def _import(place: Path) -> None:
    _dpm(place, "import", str(place / "ring.xml"), "--repository", str(_fresh(place)))


def _fresh(place: Path) -> Path:
    """A folder that does not exist yet."""
    target = place / "target"
    shutil.rmtree(target, ignore_errors=True)
    return target


def _dpm(place: Path, *words: str) -> None:
    ring = ("--application", "bench", "--key-wrapper", f"x509://{place}/ring.pem")
    command = [sys.executable, "-m", "dpmiddleware", "keys", *words, *ring]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)


def _seconds(work: Callable[[Path], None], place: Path) -> float:
    began = time.perf_counter()
    work(place)
    return time.perf_counter() - began
