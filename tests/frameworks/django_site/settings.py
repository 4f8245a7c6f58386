"""A Django project with everything of ours in place."""

from __future__ import annotations

SECRET_KEY = "what is left of it: django.contrib.auth's session hash"
DEBUG = False
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "tests.frameworks.django_site.urls"
USE_TZ = True
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "file:django-site?mode=memory&cache=shared"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # fast, for tests

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "dpmiddleware.django",
]
MIDDLEWARE = [
    "dpmiddleware.django.sessions.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "dpmiddleware.django.authentication.CookieAuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
SESSION_ENGINE = "dpmiddleware.django.sessions"
SIGNING_BACKEND = "dpmiddleware.django.signing.ProtectedSigner"
MESSAGE_STORAGE = "django.contrib.messages.storage.cookie.CookieStorage"
DATA_PROTECTION = {"application": "shop", "repository": "memory:"}
DATA_PROTECTION_COOKIE_AUTHENTICATION = {"login_path": "/login"}
