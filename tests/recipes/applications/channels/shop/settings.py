# What the tutorial of Channels adds.
INSTALLED_APPS = ["daphne", *INSTALLED_APPS]
ASGI_APPLICATION = "shop.asgi.application"
ALLOWED_HOSTS = ["localhost", "127.0.0.1"]
