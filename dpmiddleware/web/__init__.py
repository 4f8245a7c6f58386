"""The life of a request: header text in, header text out, independent of a framework.

`cookies` finds, joins, opens and seals cookies; `sessions` keeps a session in a cookie; `sign_in` keeps a ticket in a
cookie, and does what an application asks for. Each of them is a part of a request: `answer` says what a part is and
what it changes in the response, `parts` keeps the parts of a request together, `steps` is work that may have to wait.
`public` lists the names that users of every framework type.
"""
