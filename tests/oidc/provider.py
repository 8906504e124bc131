"""An OpenID provider for the end-to-end tests: Django OAuth Toolkit as it comes, with one client and two people.

Usage: provider.py PORT DIRECTORY. It prints the subject of each person as NAME=SUBJECT, then serves until it is stopped.
"""

import sys
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, make_server

import django
from django.conf import settings
from jwcrypto import jwk

PORT, DIRECTORY = int(sys.argv[1]), Path(sys.argv[2])
PASSWORD = "correct horse battery staple"
LOGIN = "<form method='post'>{% csrf_token %}{{ form }}</form>"

settings.configure(
    SECRET_KEY="for a test",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": DIRECTORY / "provider.sqlite"}},
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "oauth2_provider"],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "OPTIONS": {"loaders": [("django.template.loaders.locmem.Loader", {"registration/login.html": LOGIN})]},
        }
    ],
    LOGIN_URL="/login/",
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    OAUTH2_PROVIDER={
        "OIDC_ENABLED": True,
        "OIDC_RSA_PRIVATE_KEY": jwk.JWK.generate(kty="RSA", size=2048).export_to_pem(private_key=True, password=None).decode(),
        "OIDC_ISS_ENDPOINT": f"http://127.0.0.1:{PORT}/o",
        "PKCE_REQUIRED": True,
        "SCOPES": {"openid": "who you are"},
    },
)
django.setup()

from django.contrib.auth.models import User  # noqa: E402
from django.contrib.auth.views import LoginView  # noqa: E402
from django.core.handlers.wsgi import WSGIHandler  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.urls import include, path  # noqa: E402
from oauth2_provider.models import Application  # noqa: E402
from oauth2_provider.views import ConnectDiscoveryInfoView  # noqa: E402

urlpatterns = [
    # The specification's path has no slash at its end.
    path("o/.well-known/openid-configuration", ConnectDiscoveryInfoView.as_view()),
    path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")),
    path("login/", LoginView.as_view()),
]


class Quiet(WSGIRequestHandler):
    """Says nothing of requests."""

    def log_message(self, *_):
        pass


call_command("migrate", verbosity=0)
for name in ["qa", "stranger"]:
    print(f"{name}={User.objects.create_user(name, password=PASSWORD).pk}", flush=True)
Application.objects.create(
    name="coordinator",
    client_id="mdfm",
    client_secret=(DIRECTORY / "oidc.secret").read_text().strip(),
    client_type=Application.CLIENT_CONFIDENTIAL,
    authorization_grant_type=Application.GRANT_AUTHORIZATION_CODE,
    redirect_uris="http://127.0.0.1/callback",
    skip_authorization=True,
    algorithm=Application.RS256_ALGORITHM,
)
server = make_server("127.0.0.1", PORT, WSGIHandler(), handler_class=Quiet)
print("serving", flush=True)
server.serve_forever()
