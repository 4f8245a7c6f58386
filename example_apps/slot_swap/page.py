"""The page of the shop: HTML without scripts. Text from elsewhere is escaped here."""

from __future__ import annotations

from html import escape

__all__ = ["shop_page"]

_STYLE = """
:root { --ink: #1c2b25; --paper: #f6f4ee; --accent: #2f6f4f; --soft: #e3ecdf; }
:root.v2 { --accent: #4a4fa3; --soft: #e4e4f4; }
* { box-sizing: border-box; }
body { margin: 0; font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); }
header { background: var(--accent); color: white; padding: 1rem 1.5rem;
         display: flex; justify-content: space-between; align-items: baseline; }
header b { font: 600 1.35rem Georgia, serif; letter-spacing: .01em; }
header span { opacity: .85; font-size: .85rem; }
main { max-width: 40rem; margin: 0 auto; padding: 1.5rem; }
.card { background: white; border-radius: 12px; padding: 1.25rem 1.5rem; box-shadow: 0 1px 3px #0002; }
h1 { font: 600 1.5rem Georgia, serif; margin: 0 0 .5rem; }
label { display: block; margin: .75rem 0 .25rem; font-size: .9rem; }
input { width: 100%; font: inherit; padding: .5rem .7rem; border: 1px solid #bcc5bd; border-radius: 8px; }
button { font: inherit; margin-top: 1rem; padding: .5rem 1.2rem; border: 0; border-radius: 8px;
         background: var(--accent); color: white; cursor: pointer; }
input:focus-visible, button:focus-visible { outline: 3px solid var(--soft); outline-offset: 1px; }
.wrong { color: #a12b2b; }
dl { margin: 1.25rem 0 0; padding: 1rem 1.25rem; border-radius: 12px; background: var(--soft); font-size: .9rem;
     display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1rem; }
dt { opacity: .7; } dd { margin: 0; overflow-wrap: anywhere; }
code { font-size: .85em; }
"""

_SIGN_IN = """<h1>Sign in</h1>
{problem}<form method="post" action="/sign-in">
<label for="name">Name</label>
<input id="name" name="name" autocomplete="username" required>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required>
<button>Sign in</button></form>
<p><small>There is one customer: <code>ada</code>, password <code>analytical</code>.</small></p>"""

_SIGNED_IN = """<h1>Good to see you, {name}.</h1>
<p>Your order, a maidenhair fern, is on its way.</p>
<form method="post" action="/sign-out"><button>Sign out</button></form>"""

_PAGE = """<!doctype html>
<html lang="en" class="{css}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Fern &amp; Stone</title><style>{style}</style></head>
<body><header><b>Fern &amp; Stone</b><span>version {version}</span></header>
<main><div class="card">{card}</div>
<dl><dt>answered by</dt><dd>the slot that was deployed as <b>{slot}</b></dd>
<dt>your cookie</dt><dd>{cookie}</dd></dl></main></body></html>
"""


def shop_page(*, name: str | None, slot: str, version: str, cookie: str, problem: str = "") -> str:
    """The page.

    name: the customer; ``None`` if no one is signed in.
    slot, version: the slot that answers, and the version of the application in it.
    cookie: a sentence about the cookie of the visitor.
    problem: what was wrong with the form, if anything.
    """
    wrong = f'<p class="wrong" role="alert">{escape(problem)}</p>' if problem else ""
    card = _SIGN_IN.format(problem=wrong) if name is None else _SIGNED_IN.format(name=escape(name))
    css = "v1" if version.startswith("1.") else "v2"
    return _PAGE.format(
        css=css, style=_STYLE, version=escape(version), card=card, slot=escape(slot), cookie=escape(cookie)
    )
