"""TLS with records of our own making: Python's ssl shakes hands, then the client's key is taken from its key log."""
import hmac
import socket
import ssl
import struct
import tempfile

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, DATA = 20, 21, 22, 23
RECORD_BYTES_MAX = 1 << 14


class RawTls:
    """A connection to an implicit listener under TLS 1.3. `record` makes what `send` puts on the wire; `read` is what the server said under TLS."""

    VERSION = ssl.TLSVersion.TLSv1_3
    CIPHERS = {"TLS_AES_128_GCM_SHA256": (16, hashes.SHA256()), "TLS_AES_256_GCM_SHA384": (32, hashes.SHA384())}

    def __init__(self, port, name, trust, patience_s, split_hello=None):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=patience_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32 * 1024)  # what it holds counts as sent
        with tempfile.NamedTemporaryFile("r") as keys:
            context = ssl.create_default_context(cafile=trust)
            context.minimum_version = context.maximum_version = self.VERSION
            context.keylog_filename = keys.name
            self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=name)
            self.shake_hands(split_hello)
            secrets = dict((line.split()[0], bytes.fromhex(line.split()[2])) for line in keys.read().splitlines() if line[:1] != "#")
        self.key_bytes, self.hash = self.CIPHERS[self.tls.cipher()[0]]
        self.use(secrets["CLIENT_TRAFFIC_SECRET_0"] if "CLIENT_TRAFFIC_SECRET_0" in secrets else secrets["CLIENT_RANDOM"])

    def shake_hands(self, split_hello):
        first, self.heard = True, b""
        while True:
            try:
                self.tls.do_handshake()
                done = True
            except ssl.SSLWantReadError:
                done = False
            out = self.outgoing.read()
            if first:
                self.client_random = out[11:43]
            if first and split_hello:
                body = out[5:]
                pieces = [body[at:at + split_hello] for at in range(0, len(body), split_hello)]
                out = b"".join(out[:3] + struct.pack("!H", len(piece)) + piece for piece in pieces)
            first = False
            self.socket.sendall(out)
            if done:
                return
            if not (data := self.socket.recv(65536)):
                raise ConnectionError("the server ended the handshake")
            self.heard += data
            self.incoming.write(data)

    def expand(self, secret, label, length):
        label = b"tls13 " + label
        info = struct.pack("!HB", length, len(label)) + label + b"\0"
        return HKDFExpand(self.hash, length, info).derive(secret)

    def use(self, secret):
        self.secret, self.sequence = secret, 0
        self.aead, self.iv = AESGCM(self.expand(secret, b"key", self.key_bytes)), self.expand(secret, b"iv", 12)

    def record(self, content, kind=DATA):
        nonce = (int.from_bytes(self.iv, "big") ^ self.sequence).to_bytes(12, "big")
        self.sequence += 1
        header = struct.pack("!BHH", DATA, 0x0303, len(content) + 1 + 16)
        return header + self.aead.encrypt(nonce, content + bytes([kind]), header)

    def key_update(self, answer_wanted):
        """RFC 8446 section 4.6.3."""
        record = self.record(bytes([24, 0, 0, 1, answer_wanted]), HANDSHAKE)
        self.use(self.expand(self.secret, b"traffic upd", self.hash.digest_size))
        return record

    def send(self, data):
        self.socket.sendall(data)

    def read(self):
        """The next words of the server; empty at its end, orderly or not."""
        while True:
            try:
                return self.tls.read(65536)
            except ssl.SSLWantReadError:
                try:
                    data = self.socket.recv(65536)
                except ConnectionError:
                    return b""
                if not data:
                    return b""
                self.incoming.write(data)
            except ssl.SSLError:
                return b""

    def ends_within(self, records):
        """Sends from `records` until the server has ended the connection; None: it never did. Returns how many went out before."""
        sent = 0
        self.socket.setblocking(False)
        for record in records:
            rest = memoryview(record)
            while rest:
                try:
                    rest = rest[self.socket.send(rest):]
                except BlockingIOError:
                    # It reads no more: then it must be gone.
                    if not self.alive(wait_s=10):
                        return sent
                except ConnectionError:
                    return sent
            sent += 1
            if sent % 64 == 0 and not self.alive(wait_s=0):
                return sent
        return None if self.alive(wait_s=10) else sent

    def alive(self, wait_s):
        self.socket.settimeout(wait_s or 0.0)
        try:
            while True:
                data = self.socket.recv(65536)
                if not data:
                    return False
                self.socket.settimeout(wait_s or 0.0)
        except (BlockingIOError, TimeoutError):
            return True
        except ConnectionError:
            return False
        finally:
            self.socket.setblocking(False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


class RawTls12(RawTls):
    """The same under TLS 1.2 (RFC 5246 section 6.3, RFC 5288 section 3)."""
    VERSION = ssl.TLSVersion.TLSv1_2
    CIPHERS = {"ECDHE-ECDSA-AES128-GCM-SHA256": (16, "sha256"), "ECDHE-ECDSA-AES256-GCM-SHA384": (32, "sha384")}

    def use(self, secret):
        seed, block = b"key expansion" + self.heard[11:43] + self.client_random, b""
        chain = seed
        while len(block) < 2 * self.key_bytes + 8:
            chain = hmac.digest(secret, chain, self.hash)
            block += hmac.digest(secret, chain + seed, self.hash)
        self.aead, self.salt = AESGCM(block[:self.key_bytes]), block[2 * self.key_bytes:2 * self.key_bytes + 4]
        self.sequence = 1  # behind Finished

    def record(self, content, kind=DATA):
        number = self.sequence.to_bytes(8, "big")
        self.sequence += 1
        sealed = self.aead.encrypt(self.salt + number, content, number + struct.pack("!BHH", kind, 0x0303, len(content)))
        return struct.pack("!BHH", kind, 0x0303, 8 + len(sealed)) + number + sealed
