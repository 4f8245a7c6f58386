"""Django on a ring of keys: sessions, sign-in, signed values. See the modules; settings are in `apps`.

INSTALLED_APPS += ["dpmiddleware.django"]
MIDDLEWARE = ["dpmiddleware.django.sessions.SessionMiddleware", …]      # in the place of Django's
SESSION_ENGINE = "dpmiddleware.django.sessions"
SIGNING_BACKEND = "dpmiddleware.django.signing.ProtectedSigner"
DATA_PROTECTION = {"application": "shop", "repository": "redis://localhost/0", "key_wrapper": "x509:///keys.pem"}
"""

from dpmiddleware.django.apps import get_data_protection

__all__ = ["get_data_protection"]
