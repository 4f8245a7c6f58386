"""Sessions kept in a protected cookie.

`session` is the mapping that an application sees; `stored` its bytes; `cookie` when it is read, written and ended;
`migration` reads the sessions that other frameworks signed.
"""
