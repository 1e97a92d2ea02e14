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
    return ec.generate_private_key(ec.SECP256R1()) if kind == "ecdsa" else rsa.generate_private_key(65537, {"rsa": 2048, "short": 1024}[kind])


def pem_of(key):
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def name_of(text):
    if "@" in text:
        return x509.RFC822Name(text)
    return x509.DNSName(text) if text[-1].isalpha() else x509.IPAddress(ipaddress.ip_address(text))


class Authority:
    """Signs whatever it is asked to; `trust` is its own certificate as a file, of that name. With `names`, it is none, and signs all the same."""

    def __init__(self, folder, name="authority", names=()):
        self.folder, self.key = folder, new_key()
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Test {name}")])
        now = datetime.datetime.utcnow()
        builder = (x509.CertificateBuilder().subject_name(self.name).issuer_name(self.name).public_key(self.key.public_key())
                   .serial_number(x509.random_serial_number()).not_valid_before(now - 400 * DAY).not_valid_after(now + 400 * DAY)
                   .add_extension(x509.BasicConstraints(not names, None), True))
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([name_of(each) for each in names]), False)
        self.certificate = builder.sign(self.key, hashes.SHA256())
        self.trust = folder / f"{name}.pem"
        self.trust.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def context(self, version=None):
        """Of a client that trusts it."""
        context = ssl.create_default_context(cafile=self.trust)
        if version:
            context.minimum_version = context.maximum_version = version
        return context

    def issue(self, *hosts, kind="ecdsa", begins=-1, ends=30, usage=None, digest=hashes.SHA256):
        """(chain, key) in PEM. `hosts` may be mailboxes. `begins` and `ends`: days from now. `usage`: what alone it is for."""
        key, now = new_key(kind), datetime.datetime.utcnow()
        builder = (x509.CertificateBuilder().subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0])]))
                   .issuer_name(self.name).public_key(key.public_key()).serial_number(x509.random_serial_number())
                   .not_valid_before(now + begins * DAY).not_valid_after(now + ends * DAY)
                   .add_extension(x509.SubjectAlternativeName([name_of(host) for host in hosts]), False))
        if usage:
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), False)
        certificate = builder.sign(self.key, digest())
        return certificate.public_bytes(serialization.Encoding.PEM), pem_of(key)

    def below(self, folder):
        """Another authority, which this one has certified."""
        made = Authority(folder)
        made.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test below")])
        now = datetime.datetime.utcnow()
        made.certificate = (x509.CertificateBuilder().subject_name(made.name).issuer_name(self.name).public_key(made.key.public_key())
                            .serial_number(x509.random_serial_number()).not_valid_before(now - 400 * DAY).not_valid_after(now + 400 * DAY)
                            .add_extension(x509.BasicConstraints(True, None), True).sign(self.key, hashes.SHA256()))
        return made

    def files(self, name, *hosts, **how):
        """The configuration's keys for a certificate of its own."""
        chain, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        for path, content in zip((chain, key), self.issue(*hosts, **how)):
            path.write_bytes(content)
            path.chmod(0o644)
        return {f"tls.certificate.{name}.chain": chain, f"tls.certificate.{name}.key": key}

    def pair(self, name, *names, **how):
        """Paths of a certificate and its key, for a client."""
        files = self.files(name, *names, **how)
        return files[f"tls.certificate.{name}.chain"], files[f"tls.certificate.{name}.key"]

    def revocations(self, *chains, ends=30):
        """A CRL in PEM; `ends`: days from now until the next one."""
        now = datetime.datetime.utcnow()
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.name).last_update(now - 60 * DAY).next_update(now + ends * DAY)
        for chain in chains:
            serial = x509.load_pem_x509_certificate(chain.read_bytes()).serial_number
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now - DAY).build())
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
