"""The page of the control room: two farms side by side, two buttons, and the verdict on each farm.

It is complete without scripts; `room.js` only saves loading it again. Text from elsewhere is escaped here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from .look import named_key
from .verdict import Verdict

__all__ = ["Side", "content_security_policy", "room_page"]

_MARKS: Final = {"nobody": "○", "in": "✓", "out": "✗", "silent": "!"}

_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><link rel="icon" href="data:,"><link rel="stylesheet" href="/room.css">
<script src="/room.js" defer></script></head>
<body><header><h1>Swap two deployment slots</h1>
<div class="actions">
<form class="second" method="post" action="/sign-in"><button>Sign ada in on both sides</button></form>
<form method="post" action="/swap"><button>Swap the slots</button></form></div></header>
<main><p id="ended" role="status" hidden>The demonstration does not answer. Start it again, and reload this page.</p>
<div id="verdicts" class="two" aria-live="polite">{verdicts}</div>
<div class="two">{sides}</div>
<noscript><p class="note">After you have signed in or out in one of the shops yourself,
<a href="/">reload this page</a> for the verdict.</p></noscript></main></body></html>
"""

_VERDICT: Final = """
<p id="verdict-{id}" class="verdict {kind}" data-part aria-atomic="true"><span>{title}</span>
<b><i aria-hidden="true">{mark}</i> {words}</b></p>"""

_SIDE: Final = """
<section aria-labelledby="side-{id}"><h2 id="side-{id}">{title}</h2>
<dl id="slots-{id}" data-part>{slots}</dl>
<iframe src="{url}" title="The shop: {title}"></iframe>
<h3>Refusals in the logs</h3><pre id="log-{id}" data-part>{log}</pre></section>"""


@dataclass(frozen=True, slots=True)
class Side:
    """One farm, as the page shows it.

    id: for names in the page. title: its heading. url: the shop's address.
    production, staging: the versions that have these names now.
    rings: which ring the slot of each name reads. keys: the ids of the keys of each ring.
    cookie: the key of the visitor's cookie. verdict: whether they are signed in. log: the last refusals.
    """

    id: str
    title: str
    url: str
    production: str
    staging: str
    rings: dict[str, str]
    keys: dict[str, list[str]]
    cookie: str | None
    verdict: Verdict
    log: list[str]

    def named(self, key: str) -> str:
        """The HTML of a key's id in the colour of the ring that has it."""
        return named_key(key, next((ring for ring, keys in self.keys.items() if key in keys), "unknown"))


def room_page(sides: Sequence[Side]) -> str:
    """The whole page."""
    return _PAGE.format(
        title=escape("; ".join(f"{side.title}: {side.verdict.short}" for side in sides)),
        verdicts="".join(map(_verdict, sides)),
        sides="".join(map(_side, sides)),
    )


def content_security_policy(sides: Sequence[Side]) -> str:
    """The value of the header Content-Security-Policy: files of this server, the shops in frames, and nothing else."""
    return (
        f"default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; "
        f"frame-src {' '.join(side.url for side in sides)}; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


def _verdict(side: Side) -> str:
    kind, words, key = side.verdict.kind, escape(side.verdict.words), side.verdict.key
    return _VERDICT.format(
        id=side.id,
        title=escape(side.title),
        kind=kind,
        mark=_MARKS[kind],
        words=words if key is None else f"{words} {side.named(key)}",
    )


def _side(side: Side) -> str:
    slots = {"production": side.production, "staging": side.staging}
    rows = {f"now {place}": f"version {escape(version)}, {_ring(side, place)}" for place, version in slots.items()}
    rows["your cookie"] = "none" if side.cookie is None else f"protected with key {side.named(side.cookie)}"
    return _SIDE.format(
        id=side.id,
        title=escape(side.title),
        url=escape(side.url),
        slots="".join(f"<dt>{name}</dt><dd>{text}</dd>" for name, text in rows.items()),
        log=escape("\n".join(side.log) or "None."),
    )


def _ring(side: Side, place: str) -> str:
    ring = side.rings[place]
    keys = " ".join(map(side.named, side.keys[ring])) or "no key yet"
    return f"{'the shared' if ring == 'shared' else 'its own'} ring: {keys}"
