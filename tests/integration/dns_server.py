"""A DNS server for tests, on the loopback: zones in a dictionary, and every way a resolver may misbehave. UDP and TCP on one port.

    with DnsServer({"example.com": {"MX": [(10, "mx.example.com")]}, "mx.example.com": {"A": ["127.0.0.2"]}}) as dns:
        dns.habits["slow.example"] = Delay(4)
        dns.habits["*"] = SERVFAIL          # every name without a habit of its own
        ... dns.servers is the value for dns.servers; dns.asked[("example.com", "MX")] counts questions

Zones and habits may be changed at any time. A name whose dictionary is empty exists without records; one that is missing does not exist.
"""
import collections
import dataclasses
import ipaddress
import socket
import struct
import threading

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "SRV": 33, "TLSA": 52}
NAMES = {number: name for name, number in TYPES.items()}
UDP_BYTES = 1232

SERVFAIL, REFUSED, DROP, TRUNCATE, GARBAGE, LAME = "servfail", "refused", "drop", "truncate", "garbage", "lame"


@dataclasses.dataclass(frozen=True)
class Delay:
    """The right answer, `seconds` late."""
    seconds: float


def encode_name(name):
    labels = [label.encode() for label in name.rstrip(".").split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def encode_data(kind, value):
    if kind in ("A", "AAAA"):
        return ipaddress.ip_address(value).packed
    if kind == "MX":
        return struct.pack(">H", value[0]) + encode_name(value[1])
    if kind == "TXT":
        octets = value if isinstance(value, bytes) else value.encode()
        return b"".join(bytes([len(octets[at:at + 255])]) + octets[at:at + 255] for at in range(0, max(len(octets), 1), 255))
    if kind == "SOA":
        return encode_name("ns.invalid") + encode_name("hostmaster.invalid") + struct.pack(">5I", 1, 3600, 600, 86400, value)
    if kind == "SRV":
        return struct.pack(">3H", *value[:3]) + encode_name(value[3])
    if kind == "TLSA":
        return struct.pack(">3B", *value[:3]) + value[3]
    return encode_name(value)


def record(owner, kind, ttl, value):
    data = encode_data(kind, value)
    return encode_name(owner) + struct.pack(">HHIH", TYPES[kind], 1, ttl, len(data)) + data


def read_question(packet):
    """Name in lower case, type, and the question's own bytes. ValueError when it is no query with one question."""
    if len(packet) < 17 or packet[2] & 0x80 or packet[4:6] != b"\0\1":
        raise ValueError("no query")
    labels, at = [], 12
    while packet[at]:
        labels.append(packet[at + 1:at + 1 + packet[at]].decode("ascii").lower())
        at += 1 + packet[at]
    return ".".join(labels), NAMES.get(struct.unpack_from(">H", packet, at + 1)[0], "?"), packet[12:at + 5]


class DnsServer:
    def __init__(self, zones=None, *, address="127.0.0.1", ttl=60, negative_ttl=1, authentic=False):
        self.zones = zones or {}
        self.habits = {}
        self.ttl, self.negative_ttl, self.authentic = ttl, negative_ttl, authentic
        self.asked = collections.Counter()
        self.asked_over_tcp = collections.Counter()
        self._tcp, self._udp = self._bind(address)
        self.port = self._udp.getsockname()[1]
        self.servers = f"{address}:{self.port}" if ":" not in address else f"[{address}]:{self.port}"
        self._threads = [threading.Thread(target=serve, daemon=True) for serve in (self._serve_udp, self._serve_tcp)]

    @staticmethod
    def _bind(address):
        """One port that both protocols are free at."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        for _ in range(50):
            tcp = socket.create_server((address, 0), family=family)
            udp = socket.socket(family, socket.SOCK_DGRAM)
            try:
                udp.bind((address, tcp.getsockname()[1]))
                return tcp, udp
            except OSError:
                tcp.close()
                udp.close()
        raise OSError("no port is free for UDP and TCP")

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        for closing in (self._tcp, self._udp):
            try:
                closing.shutdown(socket.SHUT_RDWR)  # wakes whoever waits in it
            except OSError:
                pass
        for thread in self._threads:
            thread.join()
        self._tcp.close()
        self._udp.close()

    # ---- what to say

    def reply(self, packet, over_tcp):
        """The reply and how long to wait before it; no reply: None."""
        name, kind, question = read_question(packet)
        (self.asked_over_tcp if over_tcp else self.asked)[name, kind] += 1
        habit = self.habits.get(name, self.habits.get("*"))
        if habit == DROP:
            return None, 0
        delay = habit.seconds if isinstance(habit, Delay) else 0
        flags = 0x8180 | (0x20 if self.authentic else 0)

        def head(code=0, more=0, answers=0, authorities=0):
            return packet[:2] + struct.pack(">5H", flags | more | code, 1, answers, authorities, 0) + question

        if habit in (SERVFAIL, REFUSED):
            return head({SERVFAIL: 2, REFUSED: 5}[habit]), delay
        if habit == TRUNCATE and not over_tcp:
            return head(more=0x200), delay
        if habit == GARBAGE:
            return head(answers=1) + b"\xc0\xff\0\x0f", delay
        if habit == LAME:
            flags = 0x8000
            return head(authorities=1) + record("invalid", "NS", 60, "ns.invalid"), delay
        records, exists = self._find(name, kind)
        if exists and any(found == kind for found, _ in records):
            whole = head(answers=len(records)) + b"".join(encoded for _, encoded in records)
            return (whole if over_tcp or len(whole) <= UDP_BYTES else head(more=0x200)), delay
        soa = record("invalid", "SOA", self.negative_ttl, self.negative_ttl)
        return head(0 if exists else 3, answers=len(records), authorities=1) + b"".join(e for _, e in records) + soa, delay

    def _find(self, name, kind):
        """Records with the CNAMEs that lead to them, and whether the last name exists."""
        records = []
        for _ in range(16):
            here = self.zones.get(name)
            if here is None:
                return records, False
            if "CNAME" not in here or kind == "CNAME":
                return records + [(kind, record(name, kind, self.ttl, value)) for value in here.get(kind, [])], True
            target = here["CNAME"][0]
            records.append(("CNAME", record(name, "CNAME", self.ttl, target)))
            name = target.rstrip(".").lower()
        return records, True

    # ---- how to say it

    def _serve_udp(self):
        while True:
            try:
                packet, sender = self._udp.recvfrom(4096)
            except OSError:
                return
            if not packet:
                return  # shut down
            try:
                reply, delay = self.reply(packet, over_tcp=False)
            except (ValueError, IndexError, UnicodeDecodeError):
                continue
            if reply is not None:
                self._later(delay, lambda reply=reply, sender=sender: self._udp.sendto(reply, sender))

    def _serve_tcp(self):
        while True:
            try:
                connection, _ = self._tcp.accept()
            except OSError:
                return
            threading.Thread(target=self._converse, args=(connection,), daemon=True).start()

    def _converse(self, connection):
        with connection, connection.makefile("rb") as stream:
            connection.settimeout(30)
            try:
                while len(length := stream.read(2)) == 2:
                    reply, delay = self.reply(stream.read(struct.unpack(">H", length)[0]), over_tcp=True)
                    if reply is None:
                        return
                    threading.Event().wait(delay)
                    connection.sendall(struct.pack(">H", len(reply)) + reply)
            except (OSError, ValueError, IndexError, UnicodeDecodeError):
                return

    @staticmethod
    def _later(delay, action):
        def act():
            try:
                action()
            except OSError:
                pass  # nobody is there any more, or we are not
        if delay <= 0:
            return act()
        timer = threading.Timer(delay, act)
        timer.daemon = True
        timer.start()
        return None
