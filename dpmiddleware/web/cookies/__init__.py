"""Cookies, as text and as protected values.

`text` finds cookies in a Cookie header and writes Set-Cookie; `chunks` splits and joins long values; `protected` opens
and seals one cookie; `application_cookies` does this for the cookies that an application sets itself; `policy` applies
minimum requirements to all cookies; `http_dates` reads and writes dates.
"""
