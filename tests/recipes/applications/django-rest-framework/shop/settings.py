# What the quick start of Django REST framework adds.
INSTALLED_APPS += ["rest_framework"]
REST_FRAMEWORK = {"DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.SessionAuthentication"]}
ALLOWED_HOSTS = ["localhost", "127.0.0.1"]
