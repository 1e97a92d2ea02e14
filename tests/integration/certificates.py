"""Certificates for one test, by python3-cryptography: with any dates and names, and none that is checked in."""
import datetime
import ipaddress
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)


def new_key(kind="ecdsa"):
    return ec.generate_private_key(ec.SECP256R1()) if kind == "ecdsa" else rsa.generate_private_key(65537, 2048)


def pem_of(key):
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


class Authority:
    """Signs whatever it is asked to; `trust` is its own certificate as a file."""

    def __init__(self, folder):
        self.folder, self.key = folder, new_key()
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test Authority")])
        now = datetime.datetime.utcnow()
        self.certificate = (x509.CertificateBuilder().subject_name(self.name).issuer_name(self.name).public_key(self.key.public_key())
                            .serial_number(x509.random_serial_number()).not_valid_before(now - 400 * DAY).not_valid_after(now + 400 * DAY)
                            .add_extension(x509.BasicConstraints(True, None), True).sign(self.key, hashes.SHA256()))
        self.trust = folder / "authority.pem"
        self.trust.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def context(self, version=None):
        """Of a client that trusts it."""
        context = ssl.create_default_context(cafile=self.trust)
        if version:
            context.minimum_version = context.maximum_version = version
        return context

    def issue(self, *hosts, kind="ecdsa", begins=-1, ends=30):
        """(chain, key) in PEM. `begins` and `ends`: days from now."""
        key, now = new_key(kind), datetime.datetime.utcnow()
        names = [x509.DNSName(host) if host[-1].isalpha() else x509.IPAddress(ipaddress.ip_address(host)) for host in hosts]
        certificate = (x509.CertificateBuilder().subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0])]))
                       .issuer_name(self.name).public_key(key.public_key()).serial_number(x509.random_serial_number())
                       .not_valid_before(now + begins * DAY).not_valid_after(now + ends * DAY)
                       .add_extension(x509.SubjectAlternativeName(names), False).sign(self.key, hashes.SHA256()))
        return certificate.public_bytes(serialization.Encoding.PEM), pem_of(key)

    def files(self, name, *hosts, **how):
        """The configuration's keys for a certificate of its own."""
        chain, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        for path, content in zip((chain, key), self.issue(*hosts, **how)):
            path.write_bytes(content)
            path.chmod(0o644)
        return {f"tls.certificate.{name}.chain": chain, f"tls.certificate.{name}.key": key}
