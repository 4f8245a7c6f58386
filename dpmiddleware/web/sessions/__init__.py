"""Sessions in a protected cookie.

`session` is the mapping that an application uses; `stored` its form as bytes; `cookie` reads, renews and ends it;
`migration` reads and writes the sessions of other frameworks.
"""
