"""An identity provider of others' making (oidc-provider-mock) whose access tokens are signed, as
those of providers are whose tokens an API verifies by itself."""

import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import flask
import jwt
import oidc_provider_mock
from werkzeug.serving import make_server

AUDIENCE = "sightline"


@contextmanager
def serving(
    users: Sequence[oidc_provider_mock.User], audience: str = AUDIENCE, *, seconds: int = 300
) -> Iterator[str]:
    """Run a provider in a thread. Yield its issuer; `/jwks` has its keys.

    Access tokens have the users' claims, are for `audience`, and live so many seconds.
    """

    def signed(*, user: oidc_provider_mock.User, **_given: Any) -> str:
        key, now = flask.g.oidc_provider_mock_storage.jwk, int(time.time())
        said = {
            "iss": flask.request.host_url.rstrip("/"),
            "aud": audience,
            "sub": user.sub,
            "iat": now,
            "exp": now + seconds,
            "jti": secrets.token_urlsafe(8),
            **user.claims,
        }
        head = {"kid": key.as_dict()["kid"], "typ": "at+jwt"}
        return jwt.encode(said, key.as_pem(is_private=True), "RS256", head)

    app = flask.Flask("oidc_provider_mock")  # whose folder has the pages
    app.secret_key = secrets.token_bytes(16)
    app.config["OAUTH2_ACCESS_TOKEN_GENERATOR"] = signed
    oidc_provider_mock.init_app(
        app, require_client_registration=True, require_nonce=True, user_claims=users
    )
    server = make_server("localhost", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.1,))
    thread.start()
    try:
        yield f"http://localhost:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
