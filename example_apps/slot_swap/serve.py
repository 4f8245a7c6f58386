"""Two farms side by side in the browser: one ring per slot on the left, one shared ring on the right.

Sign in on both sides, press *Swap the slots*, and see on which side you are still signed in, and what the logs say.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Final

from .loopback import LoopbackServer
from .story import Farm, open_farm

__all__ = ["open_control_room", "serve"]

_LOG_LINES: Final = 6

_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Slot swap</title>
<style>
body { margin: 0; font: 16px/1.5 system-ui, sans-serif; background: #eceae4; color: #1c2b25; }
header { display: flex; flex-wrap: wrap; gap: 1rem; align-items: center; padding: 1rem 1.5rem;
  background: #1c2b25; color: white; }
h1 { font: 600 1.2rem system-ui, sans-serif; margin: 0; flex: 1; }
button { font: 600 1rem system-ui, sans-serif; padding: .5rem 1.4rem; border: 0;
  border-radius: 999px; background: #f2b63c; cursor: pointer; }
main { display: grid; grid-template-columns: repeat(auto-fit, minmax(22rem, 1fr)); gap: 1.5rem; padding: 1.5rem; }
h2 { font-size: 1.05rem; margin: 0 0 .5rem; }
iframe { width: 100%; height: 36rem; border: 0; border-radius: 12px; background: white; box-shadow: 0 1px 4px #0003; }
p, pre { font-size: .85rem; margin: .5rem 0; }
pre { background: #1c2b25; color: #d7e4d9; padding: .75rem 1rem; border-radius: 8px;
  white-space: pre-wrap; overflow-wrap: anywhere; min-height: 3rem; }
</style></head><body>
<header><h1>Two deployment slots. Sign in on both sides, then swap.</h1>
<form method="post" action="/swap"><button>Swap the slots</button></form></header>
<main id="farms"></main>
<script>
const farms = {};
function farm(state) {
  const section = document.createElement("section");
  const [title, slots, page, keys, log] = ["h2", "p", "iframe", "p", "pre"].map((tag) => document.createElement(tag));
  title.textContent = state.title;
  page.src = state.url;
  page.title = state.title;
  section.append(title, slots, page, keys, log);
  document.getElementById("farms").append(section);
  return farms[state.title] = { slots, keys, log };
}
async function look() {
  for (const state of await (await fetch("/state")).json()) {
    const shown = farms[state.title] ?? farm(state);
    shown.slots.textContent = `production is version ${state.production}, staging is version ${state.staging}`;
    const rings = Object.entries(state.keys).map(([ring, ids]) => `keys in ${ring}: ${ids.join(", ") || "none yet"}`);
    shown.keys.textContent = rings.join(" · ");
    shown.log.textContent = state.log.join("\\n") || "No payload has been refused.";
  }
}
look();
setInterval(look, 1000);
</script></body></html>
"""


@contextlib.contextmanager
def open_control_room(folder: Path, port: int = 0) -> Generator[str]:
    """Start both farms and the page that swaps them. The value of the context is the address of the page."""
    with contextlib.ExitStack() as stack:
        farms = {
            # cookies do not depend on the port: each farm needs its own cookie name
            "One ring per slot": stack.enter_context(open_farm(folder / "own", shared=False, cookie="own")),
            "One shared ring": stack.enter_context(open_farm(folder / "shared", shared=True, cookie="shared")),
        }
        yield stack.enter_context(LoopbackServer(_handler_for(farms), port)).url


def serve(folder: Path, port: int) -> int:
    """Serve the page until Ctrl+C."""
    print("starting four servers …", flush=True)
    with open_control_room(folder, port) as url, contextlib.suppress(KeyboardInterrupt):
        print(f"open {url} in a browser; press Ctrl+C to stop", flush=True)
        threading.Event().wait()
    return 0


def _state(title: str, farm: Farm) -> dict[str, object]:
    """The data of one farm for the page."""
    refusals = [
        f"version {slot.version}: {line}"
        for slot in (farm.front.production, farm.front.staging)
        for line in slot.refusals()
    ]
    return {
        "title": title,
        "url": farm.front.url,
        "production": farm.front.production.version,
        "staging": farm.front.staging.version,
        "keys": farm.keys(),
        "log": refusals[-_LOG_LINES:],
    }


def _handler_for(farms: dict[str, Farm]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """The page, and the data that it polls."""
            if self.path == "/":
                self._answer("text/html; charset=utf-8", _PAGE)
            elif self.path == "/state":
                self._answer("application/json", json.dumps([_state(*each) for each in farms.items()]))
            else:
                self.send_error(404)

        def do_POST(self) -> None:
            """Swap the slots of both farms."""
            if self.path != "/swap":
                self.send_error(404)
                return
            for farm in farms.values():
                farm.front.swap()
            self.send_response(303)
            self.send_header("Location", "/")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _answer(self, mimetype: str, text: str) -> None:
            body = text.encode()
            self.send_response(200)
            for name, value in {
                "Content-Type": mimetype,
                "Content-Length": str(len(body)),
                "Cache-Control": "no-store",
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name is that of http.server)
            """Requests are not logged."""

    return Handler
