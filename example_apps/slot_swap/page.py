"""The page of the shop: HTML without scripts. Text from elsewhere is escaped here."""

from __future__ import annotations

from html import escape

from .look import named_key, style

__all__ = ["shop_page"]

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
<html lang="en" class="{slot}"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Fern &amp; Stone</title><link rel="icon" href="data:,"><style>{style}</style></head>
<body><header><b>Fern &amp; Stone</b><span>version {version}</span></header>
<main><div class="card">{card}</div>
<dl><dt>answered by</dt><dd>the slot deployed as <b>{slot}</b></dd>
<dt>your cookie</dt><dd>{cookie}</dd></dl></main></body></html>
"""


def shop_page(
    *, name: str | None, slot: str, version: str, cookie: str, key: str | None = None, ring: str = "", problem: str = ""
) -> str:
    """The page.

    name: the customer; ``None`` if no one is signed in.
    slot, version: the slot that answers, and the version of the application in it.
    cookie: what to say about the cookie of the visitor, after the id of its key.
    key: the id of this key, if there is one.
    ring: the ring of this key, see `named_key`.
    problem: what was wrong with the form, if anything.
    """
    wrong = f'<p class="wrong" role="alert">{escape(problem)}</p>' if problem else ""
    return _PAGE.format(
        style=style("shop.css"),
        version=escape(version),
        card=_SIGN_IN.format(problem=wrong) if name is None else _SIGNED_IN.format(name=escape(name)),
        slot=escape(slot),
        cookie=escape(cookie) if key is None else f"key {named_key(key, ring)} {escape(cookie)}",
    )
