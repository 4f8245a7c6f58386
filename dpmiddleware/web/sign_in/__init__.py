"""Who is signed in: claims, tickets, and cookie authentication.

`claims`, `properties` and `ticket` are what a ticket says and its bytes; `ticket_cookie` keeps it in a cookie, and
`ticket_store` on the server; `options` and `events` are what an application decides; `authentication` reads tickets
and takes the application's verbs; `redirects` and `return_urls` say where a browser goes; `steps` lets one text serve
WSGI and ASGI.
"""
