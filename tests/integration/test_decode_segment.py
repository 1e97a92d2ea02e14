#!/usr/bin/python3
"""A reader written from docs/formats/ alone opens a segment that the log wrote, and notices every flipped bit of it.

Run by Meson, which names the program that writes a sample spool in RINGPOST_SAMPLE.
"""
import json
import os
import pathlib
import re
import struct
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import decode_segment  # noqa: E402
from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: E402

DOCS = pathlib.Path(__file__).parents[2] / "docs" / "formats"
KEK = bytes(range(0x90, 0xB0))


def dumps(page):
    """The hex dumps of a page, in order."""
    blocks, current = [], b""
    for line in (DOCS / page).read_text().splitlines():
        match = re.fullmatch(r" {4}([0-9a-f]{4}) ([0-9a-f]{2,32})", line)
        if match and int(match[1], 16) == len(current):
            current += bytes.fromhex(match[2])
        elif current:
            blocks.append(current)
            current = b""
    return blocks + [current] if current else blocks


def make_keystore(store, metadata_key, key_id, scope_key):
    """keystore.md, version 1."""
    payload = store + metadata_key + bytes(32) + struct.pack("<II", 1, 0)
    payload += key_id + struct.pack("<BBHI", 1, 2, 0, 20000) + bytes(16) + struct.pack("<q", 0) + scope_key
    nonce = bytes(range(12))
    header = b"RPKSTORE" + struct.pack("<HHIQ", 1, 64, 0, 1) + nonce
    header += decode_segment.hkdf(KEK, None, "ringpost kek id", b"")[:16] + struct.pack("<IQ", len(payload), 0)
    return header + AESGCM(KEK).encrypt(nonce, payload, header)


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample")
    program = os.environ.get("RINGPOST_SAMPLE")
    if not program:
        pytest.skip("RINGPOST_SAMPLE names no program; Meson sets it")
    subprocess.run([program, folder], check=True)
    store, metadata_key, key_id, scope_key = map(bytes.fromhex, (folder / "keys").read_text().split())
    (folder / "kek").write_bytes(KEK)
    (folder / "keystore").write_bytes(make_keystore(store, metadata_key, key_id, scope_key))
    return folder


def run(folder, *options):
    script = pathlib.Path(__file__).parent / "decode_segment.py"
    return subprocess.run([sys.executable, script, "--kek", folder / "kek", "--keystore", folder / "keystore", "--spool",
                           folder / "spool", *options], capture_output=True, text=True)


def test_the_key_stores_worked_example_opens():
    keys = decode_segment.Keys.load(bytes(range(0xA0, 0xC0)), dumps("keystore.md")[0])
    assert keys.store == bytes(range(0x10, 0x20)) and keys.metadata_key == bytes(range(0x20, 0x40))
    assert keys.scope_keys == {bytes(range(0x60, 0x70)): bytes(range(0x80, 0xA0))}


def test_every_message_comes_out_as_it_went_in(sample, tmp_path):
    done = run(sample, "--content", tmp_path)
    assert done.returncode == 0, done.stderr
    wanted = {path.name: path.read_bytes() for path in (sample / "content").iterdir()}
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == wanted
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    messages = {line["id"]: line for line in lines if "id" in line}
    assert set(messages) == set(wanted)
    deferred = [m for m in messages.values() if m["revision"] == 1]
    assert len(deferred) == 1 and deferred[0]["recipients"][1]["text"] == "451 come back later"
    assert deferred[0]["recipients"][1]["enhanced"] == "4.7.1" and len(deferred[0]["recipients"]) == 3
    assert all(m["client"] == "192.0.2.1" and m["helo"] == "client.example" for m in messages.values())
    events = {line["sequence"]: bytes.fromhex(line["event"]).decode() for line in lines if "event" in line}
    assert len(events) == 4 and all(text.startswith("event of ") for text in events.values())


def test_a_wrong_kek_opens_nothing(sample):
    (sample / "kek").write_bytes(bytes(32))
    done = run(sample)
    (sample / "kek").write_bytes(KEK)
    assert done.returncode == 1 and done.stdout == ""


def test_any_flipped_bit_makes_it_fail(sample):
    """All bits of a group's frames and keys, and a bit of every byte of the rest, in every group of the first segment."""
    store, metadata_key, key_id, scope_key = map(bytes.fromhex, (sample / "keys").read_text().split())
    keys = decode_segment.Keys(store, metadata_key, {key_id: scope_key})
    paths = sorted((sample / "spool").glob("*/*.seg"))
    segments = [path.read_bytes() for path in paths]
    segments = [segment for segment in segments if any(segment[:4096])]
    whole = decode_segment.Spool(keys, segments)
    target = next(i for i, segment in enumerate(segments) if struct.unpack_from("<Q", segment, 64)[0] == 1)
    first = next(segment for segment in whole.segments if segment.generation == 1)
    # What the failed group holds is ignored; up to there every bit counts.
    records = {record.offset: record for number, record in first.records if (1, number) not in whole.abandoned}
    end = -(-max(record.offset + record.length for record in records.values()) // 4096) * 4096
    missed = []
    step = max(1, end // 1500)  # a sample of the bulk; frames, keys and headers are tried bit by bit
    offsets = {(at, 1 << at % 8) for at in range(0, end, step)}
    chosen = sorted(records)[1]
    offsets |= {(at, 1 << bit) for at in range(chosen, chosen + 64) for bit in range(8)}
    for at, mask in sorted(offsets):
        flipped = bytearray(segments[target])
        flipped[at] ^= mask
        damaged = list(segments)
        damaged[target] = bytes(flipped[:end + 4096])
        try:
            spool = decode_segment.Spool(keys, damaged)
        except decode_segment.Corrupt:
            continue
        if not any(segment.torn for segment in spool.segments if segment.generation == 1):
            missed.append(at)
    assert not missed
