"""Cookies as text and as protected values.

`text` finds cookies in a header and writes Set-Cookie; `chunks` splits and joins long values; `protected` opens and
seals one cookie of ours; `application_cookies` does so for the cookies that an application sets itself; `policy`
raises the attributes of every cookie to a minimum; `http_dates` writes dates.
"""
