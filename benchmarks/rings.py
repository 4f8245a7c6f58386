"""A ring of 10,000 keys in files: how long a cold start takes, and what a key costs in memory."""

from __future__ import annotations

import gc
import tempfile
import time
import tracemalloc
import xml.etree.ElementTree as ET
from pathlib import Path

from benchmarks.payloads import ring_of
from dpmiddleware import DataProtection
from dpmiddleware.instants import Instant

__all__ = ["report"]

KEYS = 10_000


def report() -> tuple[str, bool]:
    """Lines for people, and whether the promises held.

    The machine that the promise was made on parses these documents in 0.7 s; the promise is scaled by what parsing
    takes here.
    """
    now = Instant.of(DataProtection("bench", repository="memory:").now())
    with tempfile.TemporaryDirectory() as folder:
        for document in ring_of(KEYS, now).read().documents:
            (Path(folder) / f"{document.name}.xml").write_bytes(document.data)
        began = time.perf_counter()
        for path in Path(folder).iterdir():
            ET.fromstring(path.read_bytes())  # noqa: S314 (our own files)
        parsing = time.perf_counter() - began
        began = time.perf_counter()
        DataProtection("bench", repository=folder).current()
        cold = time.perf_counter() - began
        gc.collect()
        tracemalloc.start()
        protection = DataProtection("bench", repository=folder)
        protection.current()
        gc.collect()
        memory = tracemalloc.get_traced_memory()[0] / KEYS
        tracemalloc.stop()
    promised = 2.0 / 0.7 * parsing
    text = (
        f"{KEYS:,} keys in files: cold start {cold:.2f} s, goal {promised:.2f} (parsing alone {parsing:.2f})\n"
        f"memory a key: {memory:,.0f} bytes, goal 3,072"
    )
    return text, cold <= promised and memory <= 3072
