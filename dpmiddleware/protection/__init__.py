"""The life of a payload: from data to protected text, and back.

`protector` protects and unprotects, `time_limited` adds an expiry, `stamped` the time at which a value was made, and
`serializer` the interface of itsdangerous. `payload` has the layout of a payload, and `base64url` (with `_base64url.c`)
its form as text. The encryption itself is in `dpmiddleware.crypto`.
"""
