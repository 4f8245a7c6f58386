"""Device-bound sign-ins (experimental): a sign-in cookie that works only with a key that does not leave the browser.

The protocol is *Device Bound Session Credentials* (W3C draft of 2026-02-17), as Chromium 156 implements it. Nothing is
kept on the server: the key is in the ticket, challenges are payloads with an end, and a short-lived cookie says that
the browser has proven possession of the key a short time ago.
"""
