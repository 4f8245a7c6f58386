"""Whether a Redis keeps a ring: persistence, eviction and expiry, from what the server says of itself.

``INFO`` says what is deleted when memory is full, and whether there is an append-only file; only ``CONFIG GET`` says
whether there are snapshots. Managed services refuse ``CONFIG``, and a user may lack the permission for either, so that
each answer may be missing. A missing answer is told as a note: the ring itself may be in order.

Source: redis.io, *Persistence* and *Key eviction*, and Redis 7.0.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from dpmiddleware.printable import printable
from dpmiddleware.repositories.findings import StoreFinding

__all__ = ["STATE", "RedisState", "findings_of", "read_info"]

# One script, so that it runs on the server of a cluster that has the list. What is refused is an empty text.
STATE: Final = """
local function said(...)
  local answer = redis.pcall(...)
  if type(answer) == 'table' then return '' end
  return answer
end
return {said('INFO', 'memory'), said('INFO', 'persistence'), said('TTL', KEYS[1])}
"""
_ASK: Final = "allow this user +info and +config|get, or find out from who runs the server: the ring needs both"


@dataclass(frozen=True, slots=True)
class RedisState:
    """What a server says. info: fields of ``INFO``; empty: refused. save: ``CONFIG GET save``; ``None``: refused.

    seconds: until the list expires; negative: it does not, or the answer was refused.
    """

    info: dict[str, str]
    save: str | None
    seconds: int = -1


def read_info(text: str) -> dict[str, str]:
    """The fields of an answer to ``INFO``: ``name:value``, one per line."""
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line and not line.startswith("#"))


def findings_of(state: RedisState, location: str) -> Iterator[StoreFinding]:
    """What may lose the ring. location: of the store, for the texts."""
    yield from _eviction(state, location)
    yield from _persistence(state, location)
    if state.seconds >= 0:
        text = f"the list of keys in {location} expires in {state.seconds} seconds, and the ring is lost then"
        yield StoreFinding("redis_list_expires", text, "run PERSIST on the list, and find out what sets its expiry")


def _eviction(state: RedisState, location: str) -> Iterator[StoreFinding]:
    """Policies that evict keys without an expiry, which the list is."""
    policy = state.info.get("maxmemory_policy")
    if policy is None:
        text = f"whether {location} deletes keys when its memory is full could not be learned: INFO is refused"
        yield StoreFinding("redis_not_seen", text, _ASK, "note")
    elif policy.startswith("allkeys-"):
        hint = "set maxmemory-policy noeviction, or volatile-lru if other data there has an expiry"
        shown = f"maxmemory-policy {printable(policy, 40)}"
        if state.info.get("maxmemory") == "0":
            text = f"{location} will delete any key, the ring too, once maxmemory is set ({shown})"
            yield StoreFinding("redis_evicts", text, hint, "note")
        else:
            text = f"{location} deletes any key, the ring too, when its memory is full ({shown})"
            yield StoreFinding("redis_evicts", text, hint)


def _persistence(state: RedisState, location: str) -> Iterator[StoreFinding]:
    """An append-only file keeps the ring, snapshots keep it in part, and without both it is gone at a restart."""
    hint = "set appendonly yes"
    appends = state.info.get("aof_enabled")
    failed = [
        name for name in ("aof_last_write_status", "rdb_last_bgsave_status") if state.info.get(name, "ok") != "ok"
    ]
    if failed:
        text = f"{location} could not write its data to disk the last time ({', '.join(failed)})"
        yield StoreFinding("redis_save_failed", text, "look into the server's log; its disk may be full")
    if appends == "1":
        return
    if appends is None or state.save is None:
        refused = " and ".join(["INFO"] * (appends is None) + ["CONFIG"] * (state.save is None))
        known = "" if appends is None else ", which has no append-only file,"
        text = f"whether {location}{known} keeps its data over a restart could not be learned: {refused} is refused"
        yield StoreFinding("redis_not_seen", text, _ASK, "note")
    elif state.save:
        text = (
            f"{location} has snapshots only (save {printable(state.save, 80)}): a crash loses what came after the last"
        )
        hint = f"{hint}; a key may be lost, or a revocation, and then a revoked key is valid again"
        yield StoreFinding("redis_snapshots_only", text, hint, "note")
    else:
        text = f"{location} has no append-only file and no snapshots: a restart loses the ring"
        yield StoreFinding("redis_not_persistent", text, hint)
