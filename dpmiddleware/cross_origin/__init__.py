"""Protection against cross-site request forgery by what browsers say in ``Sec-Fetch-Site`` and ``Origin``.

`decide` is the whole protection, as a pure function. The middleware and extensions that ask it are in
`dpmiddleware.wsgi`, `dpmiddleware.asgi`, `dpmiddleware.flask`, `dpmiddleware.quart`, `dpmiddleware.django` and
`dpmiddleware.starlette`. It needs no key ring: the modules ``wsgi``, ``asgi``, ``flask``, ``quart``, ``django`` and
``starlette`` of this package have the same classes, and import neither a ring nor ``cryptography``.
"""

from dpmiddleware.cross_origin.decision import CrossOriginRules, Verdict, decide
from dpmiddleware.cross_origin.exemption import cross_origin_exempt

__all__ = ["CrossOriginRules", "Verdict", "cross_origin_exempt", "decide"]
