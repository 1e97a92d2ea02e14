#!/usr/bin/python3
"""Reads a Ringpost spool with nothing but docs/formats/{keystore,segment,records}.md: decrypts every message, or fails.

    decode_segment.py --kek FILE --keystore FILE --spool DIRECTORY [--content DIRECTORY]

Prints one JSON object a line: messages first, then audit events. Ends with 1 when anything does not authenticate.
"""
import argparse
import hashlib
import hmac
import ipaddress
import json
import pathlib
import re
import struct
import sys

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

try:
    from xxhash import xxh3_128_intdigest  # python3-xxhash; without it MACs and tags do the work alone
except ImportError:
    xxh3_128_intdigest = None

BLOCK = 4096
GROUP_HEADER, GROUP_MAC = 144, 112
FRAME, WRAPPED, TAG = 48, 112, 16
KEY, CHUNK, MESSAGE, OUTCOME, AUDIT, ERASE, ABANDON, CHECKPOINT = range(1, 9)
STATES = {0: "waiting", 1: "delivered", 2: "failed", 3: "told"}


class Corrupt(Exception):
    """Bytes that no Ringpost wrote."""


def check(condition, what):
    if not condition:
        raise Corrupt(what)


def hkdf(key, salt, label, context):
    return HKDF(SHA256(), 32, salt, label.encode() + b"\0" + context).derive(key)


def unseal(key, nonce, associated, sealed, what):
    try:
        return AESGCM(key).decrypt(nonce, sealed, associated)
    except (InvalidTag, ValueError):
        raise Corrupt(what) from None


# ---- keystore.md


def read_kek(data):
    return data if len(data) == 32 else bytes.fromhex(data.decode("ascii").strip())


class Keys:
    """What the key store holds, under the names of keystore.md."""

    def __init__(self, store, metadata_key, scope_keys):
        self.store, self.metadata_key, self.scope_keys = store, metadata_key, scope_keys

    @classmethod
    def load(cls, kek, data):
        check(data[:8] == b"RPKSTORE" and struct.unpack_from("<HHI", data, 8) == (1, 64, 0), "key store header")
        nonce, size = data[24:36], struct.unpack_from("<I", data, 52)[0]
        check(data[36:52] == hkdf(kek, None, "ringpost kek id", b"")[:16], "another KEK")
        check(len(data) == 64 + size + TAG, "key store size")
        payload = unseal(kek, nonce, data[:64], data[64:], "key store")
        count = struct.unpack_from("<I", payload, 80)[0]
        check(len(payload) == 88 + count * 80, "number of scope keys")
        scope_keys = {}
        for at in range(88, len(payload), 80):
            scope_keys[payload[at:at + 16]] = payload[at + 48:at + 80]
        return cls(payload[:16], payload[16:48], scope_keys)

    def message_key(self, message, wrapped):
        key_id, partition, incarnation = wrapped[:16], wrapped[16:32], wrapped[32:48]
        check(key_id in self.scope_keys, "unknown scope key")
        lease = hkdf(self.scope_keys[key_id], self.store, "ringpost lease", key_id + incarnation)
        wrapping = hkdf(lease, self.store, "ringpost wrap", partition + incarnation)
        associated = self.store + message + key_id + partition + incarnation + wrapped[48:52]
        return unseal(wrapping, wrapped[52:64], associated, wrapped[64:], "wrapped key")


# ---- segment.md


class Segment:
    """One generation: its groups and their records, all authenticated as far as the metadata key reaches."""

    def __init__(self, keys, data):
        check(data[:8] == b"RPSEGMNT" and struct.unpack_from("<HHI", data, 8) == (1, 0, BLOCK), "segment header")
        self.data = data
        self.store, self.partition = data[16:32], data[32:48]
        check(self.store == keys.store, "another store's segment")
        self.generation, salt = struct.unpack_from("<Q16s", data, 64)
        context = self.store + self.partition + struct.pack("<Q", self.generation)
        self.mac_key = hkdf(keys.metadata_key, salt, "ringpost generation", context)
        self.metadata_key = hkdf(keys.metadata_key, salt, "ringpost metadata", context)
        self.check_mac(data[128:160], data[:128] + data[160:BLOCK], "segment header's MAC")
        self.records = []  # (group number, Record)
        self.end = BLOCK
        last, last_mac = 0, None
        while True:
            group = self.group(self.end, last)
            if group is None:
                break
            number, mac, previous, size, records = group
            check(last_mac is None or previous == last_mac, "chain of groups")
            self.records += [(number, record) for record in records]
            last, last_mac = number, mac
            self.end += size
        for at in range(self.end + BLOCK, len(data), BLOCK):
            check(self.group(at, last) is None, "damage: a good group behind a bad one")
        # A torn tail is legal. One that any bit of a good group was turned into looks like this:
        head = data[self.end:self.end + GROUP_HEADER]
        self.torn = head[16:24] == struct.pack("<Q", self.generation) or (last_mac is not None and head[64:96] == last_mac)

    def check_mac(self, mac, data, what):
        check(hmac.compare_digest(mac, hmac.new(self.mac_key, data, hashlib.sha256).digest()), what)

    def group(self, at, last):
        head = self.data[at:at + GROUP_HEADER]
        if len(head) < GROUP_HEADER or head[:8] != b"RPGROUP1":
            return None
        version, header_bytes, count = struct.unpack_from("<HHI", head, 8)
        generation, number, _, size = struct.unpack_from("<QQqI", head, 16)
        if (version, header_bytes) != (1, GROUP_HEADER) or generation != self.generation or number <= last:
            return None
        whole = -(-(GROUP_HEADER + size) // BLOCK) * BLOCK
        if at + whole > len(self.data) or any(head[44:64]):
            return None
        records, offset, end = [], at + GROUP_HEADER, at + GROUP_HEADER + size
        covered = head[:GROUP_MAC]
        try:
            while offset < end:
                record = Record(self, offset, end)
                records.append(record)
                covered += self.data[offset:offset + FRAME] + self.data[offset + record.length - TAG:offset + record.length]
                offset += record.length
            check(len(records) == count and count > 0, "number of records")
            self.check_mac(head[GROUP_MAC:], covered, "group's MAC")
            if xxh3_128_intdigest:
                digest = xxh3_128_intdigest(self.data[at + GROUP_HEADER:end])
                check(digest.to_bytes(16, "little") == head[96:112], "checksum")
        except Corrupt:
            return None
        check(not any(self.data[end:at + whole]), "padding of a group")
        return number, head[GROUP_MAC:], head[64:96], whole, records


# ---- records.md


class Record:
    def __init__(self, segment, offset, end):
        check(offset + FRAME <= end, "frame")
        data = segment.data
        self.segment, self.offset = segment, offset
        self.kind, self.version, flags, self.length = struct.unpack_from("<BBHI", data, offset)
        self.message, self.sequence = struct.unpack_from("<16sQ", data, offset + 8)
        wrapped, first, second, last = struct.unpack_from("<IIII", data, offset + 32)
        parts = FRAME + wrapped * WRAPPED + first + second
        check((self.version, flags) == (1, 0) and wrapped <= 17, "frame")
        check(-(-(parts + last) // 8) * 8 == self.length and offset + self.length <= end and last >= TAG, "sizes")
        self.bytes = data[offset:offset + self.length]
        at = FRAME + wrapped * WRAPPED
        self.wrapped = [self.bytes[i:i + WRAPPED] for i in range(FRAME, at, WRAPPED)]
        self.first, self.second = self.bytes[at:at + first], self.bytes[at + first:parts]
        self.last = self.bytes[self.length - last:]
        check(not any(self.bytes[parts:self.length - last]), "padding of a record")
        self.associated = self.bytes[:at] + self.first[-TAG:] + self.second[-TAG:]

    def metadata(self):
        nonce = b"\3\0\0\0" + struct.pack("<Q", self.sequence)
        return unseal(self.segment.metadata_key, nonce, self.associated, self.last, f"record at {self.offset}")


class Fields:
    def __init__(self, data):
        self.data, self.at = data, 0

    def unpack(self, layout):
        layout = "<" + layout
        size = struct.calcsize(layout)
        check(self.at + size <= len(self.data), "field")
        values = struct.unpack_from(layout, self.data, self.at)
        self.at += size
        return values if len(values) > 1 else values[0]

    def text(self):
        size = self.unpack("H")
        check(self.at + size <= len(self.data), "text")
        self.at += size
        return self.data[self.at - size:self.at].decode("utf-8", "surrogateescape")

    def done(self):
        check(self.at == len(self.data), "bytes left over")


def status(fields):
    state, attempts, reason, code, *enhanced = fields.unpack("BBHHHHH")
    check(state in STATES, "state")
    return {"state": STATES[state], "attempts": attempts, "reason": reason, "code": code, "enhanced": ".".join(map(str, enhanced))}


class Message:
    """One message, as its newest MESSAGE record and its OUTCOME records tell."""

    def __init__(self, keys, record, chunks):
        self.id, self.revision = record.message, 0
        fields = Fields(record.metadata())
        (self.arrived, self.due, self.size, self.copied_from, _, self.revision, self.mail_class, self.held, self.warned,
         recipients, pieces, self.age, runs) = fields.unpack("qqQQ16sIBBHIIII")
        check(self.warned <= 1 and runs <= recipients, "scheduling")
        self.statuses = [status(fields) for _ in range(recipients)]
        places = [fields.unpack("QII") for _ in range(pieces)]
        hosts = []
        for _ in range(runs):
            count, port, zero, address = fields.unpack("IHH16s")
            check(count > 0 and zero == 0, "run of hosts")
            hosts += [(ipaddress.IPv6Address(address), port)] * count
        check(len(hosts) in (0, recipients), "hosts")
        fields.done()
        self.key = keys.message_key(self.id, record.wrapped[0])
        self.store = keys.store
        self.envelope(self.open(2, 0, 0, record.first, "envelope"))
        content = []
        for index, (generation, offset, length) in enumerate(places):
            chunk = chunks.get((generation, offset))
            check(chunk is not None and chunk.length == length and chunk.message == self.id, "chunk")
            content.append(self.open(1, 0, index, chunk.last, "piece of the content"))
        content.append(self.open(1, 1, pieces, record.second, "last piece of the content"))
        self.content = b"".join(content)
        check(len(self.content) == self.size, "size of the content")

    def open(self, domain, final, index, sealed, what):
        associated = self.store + self.id + bytes([domain, final]) + bytes(6) + struct.pack("<Q", index)
        nonce = bytes([domain, final, 0, 0]) + struct.pack("<Q", index)
        return unseal(self.key, nonce, associated, sealed, what)

    def envelope(self, data):
        fields = Fields(data)
        self.flags, client, recipients = fields.unpack("H16sI")
        self.client = ipaddress.IPv6Address(client)
        self.helo, self.reverse_path, self.parameters = fields.text(), fields.text(), fields.text()
        self.recipients = [(fields.unpack("H"), fields.text(), fields.text())[1] for _ in range(recipients)]
        fields.done()
        check(recipients == len(self.statuses), "recipients")

    def apply(self, record):
        fields = Fields(record.metadata())
        _, due, revision, count, host, port, held, warned, age = fields.unpack("QqII16sHBBI")
        check(held <= 1 and warned <= 1, "outcome")
        changes = [(fields.unpack("I"), status(fields)) for _ in range(count)]
        fields.done()
        if record.first:
            detail_key = hkdf(self.key, self.store, "ringpost outcome detail", self.id)
            texts = Fields(unseal(detail_key, record.first[:12], self.id, record.first[12:], "reply texts"))
            words = {}
            while texts.at < len(texts.data):
                index = texts.unpack("I")
                words[index] = texts.text()
            for index, change in changes:
                change["text"] = words.get(index, "")
        if revision > self.revision:
            self.revision, self.due, self.held, self.warned, self.age = revision, due, held, warned, age
            for index, change in changes:
                self.statuses[index] = change

    def json(self):
        mapped = self.client.ipv4_mapped
        return {"id": self.id.hex(), "from": self.reverse_path, "size": self.size, "arrived": self.arrived, "due": self.due,
                "client": str(mapped or self.client), "helo": self.helo, "held": bool(self.held), "revision": self.revision,
                "recipients": [{"address": address, **known} for address, known in zip(self.recipients, self.statuses)],
                "sha256": hashlib.sha256(self.content).hexdigest()}


class Spool:
    """All segments of one partition, added up."""

    def __init__(self, keys, segments):
        self.messages, self.events = {}, []
        segments = sorted((Segment(keys, data) for data in segments if any(data[:BLOCK])), key=lambda each: each.generation)
        self.segments = segments
        abandoned, marks = set(), {}
        self.abandoned = abandoned
        for segment in segments:
            for _, record in segment.records:
                if record.kind == ABANDON:
                    abandoned.add(Fields(record.metadata()).unpack("QQ"))
                if record.kind == CHECKPOINT:
                    fields = Fields(record.metadata())
                    audit, generations = fields.unpack("II")
                    for _ in range(audit):
                        fields.unpack("16sQ")
                    marks = {mark[0]: mark[1] for mark in (fields.unpack("QQII") for _ in range(generations))}
                    fields.done()
        records = [(number, record) for segment in segments for number, record in segment.records
                   if (segment.generation, number) not in abandoned]
        for segment in segments:
            last = max((number for number, _ in segment.records), default=0)
            check(last >= marks.get(segment.generation, 0), f"groups of generation {segment.generation} are gone")
        chunks = {(record.segment.generation, record.offset): record for _, record in records if record.kind == CHUNK}
        outcomes = []
        for _, record in records:
            if record.kind == MESSAGE:
                message = Message(keys, record, chunks) if self.is_readable(record, chunks) else None
                if message and (message.id not in self.messages or message.revision >= self.messages[message.id].revision):
                    self.messages[message.id] = message
            elif record.kind == OUTCOME:
                outcomes.append(record)
            elif record.kind == AUDIT:
                plaintext = record.metadata()
                self.events.append((plaintext[:16], struct.unpack_from("<Q", plaintext, 16)[0], plaintext[24:]))
        for record in outcomes:
            if record.message in self.messages:
                self.messages[record.message].apply(record)
            else:
                record.metadata()

    @staticmethod
    def is_readable(record, chunks):
        """Pieces of a message that is done may be overwritten before its MESSAGE record is."""
        fields = Fields(record.metadata())
        *_, recipients, pieces, _ = fields.unpack("qqQQ16sIBBHIIQ")
        for _ in range(recipients):
            status(fields)
        return all(fields.unpack("QII")[:2] in chunks for _ in range(pieces))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kek", type=pathlib.Path, required=True)
    parser.add_argument("--keystore", type=pathlib.Path, required=True)
    parser.add_argument("--spool", type=pathlib.Path, required=True)
    parser.add_argument("--content", type=pathlib.Path, help="write each message's content into this directory, named by its id")
    arguments = parser.parse_args()
    try:
        keys = Keys.load(read_kek(arguments.kek.read_bytes()), arguments.keystore.read_bytes())
        store = (arguments.spool / "store").read_bytes()
        check(store[:16] == b"RPSTORE1" + struct.pack("<II", 1, 0) and store[32:] == hashlib.sha256(store[:32]).digest()[:16],
              "store file")
        check(store[16:32] == keys.store, "the keys are another store's")
        for partition in sorted(path for path in arguments.spool.iterdir() if re.fullmatch("[0-9a-f]{32}", path.name)):
            spool = Spool(keys, [path.read_bytes() for path in sorted(partition.glob("*.seg"))])
            for message in spool.messages.values():
                print(json.dumps(message.json()))
                if arguments.content:
                    (arguments.content / message.id.hex()).write_bytes(message.content)
            for incarnation, sequence, event in spool.events:
                print(json.dumps({"incarnation": incarnation.hex(), "sequence": sequence, "event": event.hex()}))
    except Corrupt as problem:
        print(f"decode_segment: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
