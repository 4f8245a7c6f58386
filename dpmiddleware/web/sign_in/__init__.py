"""Sign-in: claims, tickets, and cookie authentication.

`claims`, with `claim_types`, and `properties` are the content of a `ticket`, which has its form as bytes (`_ticket.c`
is its compiled twin); `ticket_cookie` keeps it in a cookie, and `ticket_store` on the server. `options` and `events`
are what an application decides. `authentication` reads a ticket and takes the application's verbs; `validity` decides
which tickets count; `finishing` does what was asked when the response starts; `redirects` and `return_urls` decide
where a browser goes.
"""
