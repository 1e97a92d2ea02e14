"""A server whose tokens are asked about at an issuer of the test's own (RFC 7662)."""
import contextlib
import json
import time

from dns_server import DnsServer
from issuer import AUDIENCE
from server import free_port
from submission import ANNA, TokenServer
from web_server import Answer, WebServer

ISSUER_HOST, CLIENT, SECRET = "id.example.com", "ring post", "s&cret/ü"


def active(login=ANNA, **claims):
    """What the issuer says of a good token; with None a claim is not there."""
    claims = {"active": True, "email": login, "aud": AUDIENCE, "scope": "openid smtp", "exp": int(time.time()) + 300, **claims}
    return Answer(json.dumps({k: v for k, v in claims.items() if v is not None}).encode(), type="application/json")


INACTIVE = Answer(b'{"active":false}', type="application/json")


class IntrospectionServer(TokenServer):
    """`web` is the issuer's server, at 127.0.0.1 by `dns`. Without `keys`, each token is asked about."""

    def __init__(self, home, keys=False, **settings):
        port, self.stack = free_port(), contextlib.ExitStack()
        self.zones = {ISSUER_HOST: {"A": ["127.0.0.1"]}}
        self.dns = self.stack.enter_context(DnsServer(self.zones, ttl=0, negative_ttl=0))
        self.secret = home / "introspection-secret"
        self.write_secret(SECRET)
        super().__init__(home, **{
            "auth.oauth.introspection_url": f"https://{ISSUER_HOST}:{port}/realm/introspect", "auth.oauth.introspection_client_id": CLIENT,
            "auth.oauth.introspection_secret_file": self.secret, "tls.trust_file": home / "authority.pem", "dns.servers": self.dns.servers,
            **({} if keys else {"auth.oauth.key_file": None}), **settings})
        self.web = self.stack.enter_context(WebServer("127.0.0.1", self.authority, ISSUER_HOST, answer=active(), port=port))

    def write_secret(self, secret):
        new = self.secret.with_suffix(".new")
        new.write_text(secret + "\n")
        new.chmod(0o644)
        new.rename(self.secret)

    def asked(self):
        return len(self.web.posted)

    def __exit__(self, *how):
        with self.stack:
            super().__exit__(*how)
