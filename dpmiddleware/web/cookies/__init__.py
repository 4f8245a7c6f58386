"""Cookies as text and as protected values.

`text` finds cookies in a header and writes Set-Cookie; `chunks` splits and joins long values; `protected` opens and
seals one cookie of ours; `application_cookies` does so for an application's own cookies; `policy` raises what every cookie must
keep to; `http_dates` writes dates.
"""
