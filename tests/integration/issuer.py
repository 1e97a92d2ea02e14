"""An issuer of tokens for one test: keys of each kind, a JWK set, and whatever tokens are asked for."""
import base64
import json
import time

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

NAME, AUDIENCE = "https://id.example.com/realm", "ringpost"


def encoded(content):
    if isinstance(content, dict):
        content = json.dumps(content).encode()
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def number(value, size=None):
    return encoded(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


class Issuer:
    """`file` is its key set."""

    def __init__(self, folder, name="issuer"):
        self.keys = {"RS256": rsa.generate_private_key(65537, 2048), "ES256": ec.generate_private_key(ec.SECP256R1()),
                     "EdDSA": ed25519.Ed25519PrivateKey.generate()}
        self.file = folder / f"{name}.json"
        self.publish()

    def publish(self, *algorithms):
        """Writes the key set, of these algorithms or of all."""
        rsa_key, ec_key = (self.keys[each].public_key().public_numbers() for each in ("RS256", "ES256"))
        ed_key = self.keys["EdDSA"].public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        all_keys = {"RS256": {"kty": "RSA", "n": number(rsa_key.n), "e": number(rsa_key.e)},
                    "ES256": {"kty": "EC", "crv": "P-256", "x": number(ec_key.x, 32), "y": number(ec_key.y, 32)},
                    "EdDSA": {"kty": "OKP", "crv": "Ed25519", "x": encoded(ed_key)}}
        new = self.file.with_suffix(".new")
        new.write_text(json.dumps({"keys": [{**all_keys[each], "kid": each, "use": "sig"} for each in algorithms or all_keys]}))
        new.chmod(0o644)
        new.rename(self.file)

    def token(self, login, algorithm="ES256", header=None, **claims):
        now = int(time.time())
        claims = {"iss": NAME, "aud": AUDIENCE, "email": login, "sub": "1234", "scope": "openid smtp", "iat": now, "exp": now + 300, **claims}
        text = encoded({"alg": algorithm, "kid": algorithm, **(header or {})}) + "." + encoded({k: v for k, v in claims.items() if v is not None})
        key = self.keys[algorithm]
        if algorithm == "RS256":
            signature = key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
        elif algorithm == "ES256":
            r, s = utils.decode_dss_signature(key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
            signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        else:
            signature = key.sign(text.encode())
        return text + "." + encoded(signature)
