"""The life of a request: header text in, header text out, without any framework.

`cookies` finds, joins, opens and seals cookies; `sessions` keeps a session in one of them; `sign_in` keeps a sign-in
ticket in one, and does what an application asks of it.
"""
