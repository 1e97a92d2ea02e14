#!/usr/bin/python3
"""ringpostctl spool verify: a sound spool is clean, and whatever happens to its bytes is found (H7, H8)."""
import hashlib
import pathlib
import random
import shutil

import pytest
import spool_damage as damage
from server import Server

SIZES, content = damage.SIZES, damage.content


@pytest.fixture(scope="module")
def sound():
    with damage.sound_server() as server:
        yield server


@pytest.fixture
def hurt(sound):
    """A copy to be hurt."""
    copy = damage.copy_spool(sound.spool, sound.home / "copy")
    yield copy
    shutil.rmtree(copy)


def everything_below(folder):
    return {str(path): (path.lstat().st_mtime_ns, path.lstat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())
            for path in sorted(pathlib.Path(folder).rglob("*")) if path.is_file()}


def test_a_sound_spool_is_clean_and_stays_as_it_is(sound):
    before = everything_below(sound.spool)
    code, findings, summary = damage.examine(sound)
    assert (code, findings) == (0, [])
    assert summary["messages"] == 2 * len(SIZES) and summary["messages_over"] == len(SIZES)
    assert summary["messages_opened"] == 3 * len(SIZES) and summary["index_entries"] == 2 * len(SIZES)
    assert everything_below(sound.spool) == before
    code, findings, summary = damage.examine(sound, "--quick")
    assert (code, findings, summary["messages_opened"]) == (0, [], 0)
    run = damage.run_spool(sound, "verify")
    assert run.returncode == 0 and "8 messages (and 4 delivered), 12 opened" in run.stdout and "no damage" in run.stdout


def test_a_running_servers_spool_is_not_examined(home):
    with Server(home) as server:
        run = damage.run_spool(server, "verify")
        assert run.returncode == 2 and run.stdout == "" and "stop it first" in run.stderr
        damage.deliver(server, [content(1, 100)])
    assert damage.examine(server)[0] == 0


def test_what_cannot_be_run_says_why(home, sound):
    server = Server(home)
    run = damage.run_spool(server, "verify")
    assert run.returncode == 2 and "spool" in run.stderr and run.stdout == ""
    assert damage.run_spool(sound, "verify", spool=home / "nowhere").returncode == 2
    assert damage.run_spool(sound, "burn").returncode == 2
    empty = home / "empty"
    empty.mkdir(mode=0o700)
    shutil.chown(empty, sound.spool.stat().st_uid, sound.spool.stat().st_gid)
    run = damage.run_spool(sound, "verify", spool=empty)
    assert run.returncode == 2 and "holds no spool" in run.stderr


def test_after_a_sigkill_a_torn_tail_is_told_and_is_no_damage(home):
    with Server(home, settings={"shards": "1"}) as server:
        damage.deliver(server, [content(number, 5_000) for number in range(5)])
        server.kill()
        server.end()
        assert damage.examine(server)[0] == 0
        # What a power cut leaves of a group: its beginning.
        segment = next(path for path in damage.segments(server.spool) if damage.generation_of(path) == 1)
        last = damage.groups_of(segment)[-1]
        whole = segment.read_bytes()[last.offset:last.offset + damage.BLOCK]
        damage.overwrite(segment, last.offset + last.size, whole[:24] + bytes([whole[24] + 1]) + whole[25:])
        code, findings, summary = damage.examine(server)
        torn = [finding for finding in findings if finding["finding"] != "index_absent"]  # killed before the index's first commit
        assert (code, damage.kinds(torn)) == (0, ["torn_tail"])
        assert torn[0]["offset"] == last.offset + last.size and summary["messages"] == 5


def test_H7_a_flipped_bit_in_each_kind_of_record_is_found_and_told_of_whom(sound, hurt):
    """One record of each kind, and each of its parts: frame, keys, sections."""
    chosen = {}
    for segment, offset, length, kind, message in damage.all_records(hurt):
        if segment.parent.parent == hurt:
            chosen[kind] = (segment, offset, length, message)
    assert {damage.KINDS[kind] for kind in chosen} == {"chunk", "message", "outcome", "audit", "checkpoint"}
    for kind, (segment, offset, length, message) in sorted(chosen.items()):
        for at in (offset + 30, offset + length // 2, offset + length - 1):
            damage.flip(segment, at, 0x10)
            code, findings, summary = damage.examine(sound, spool=hurt)
            damage.flip(segment, at, 0x10)
            assert code == 1, (damage.KINDS[kind], at - offset, findings)
            named = {finding.get("message") for finding in findings} - {None}
            assert named <= {message}, "nobody else's message is damaged"
            assert summary["groups"] > 0
            # The frame of a piece says nothing that its message does not: then the piece is as good as before.
            if damage.KINDS[kind] == "message" or (damage.KINDS[kind] == "chunk" and at >= offset + 48):
                assert named == {message}, (damage.KINDS[kind], at - offset, findings)
    assert damage.examine(sound, spool=hurt)[0] == 0


def test_H7_groups_dropped_swapped_repeated_or_cut_off_are_found(sound, hurt):
    segment = next(path for path in damage.segments(hurt) if damage.generation_of(path) == 1)
    data, groups = segment.read_bytes(), damage.groups_of(segment)

    def verdict(content):
        segment.write_bytes(content)
        code, findings, _ = damage.examine(sound, spool=hurt)
        return code, damage.kinds(findings)

    def without(group):
        rest = data[:group.offset] + data[group.offset + group.size:]
        return rest + bytes(group.size)

    small = [group for group in groups[1:-1] if group.size == damage.BLOCK]
    one, other = small[0], small[-1]
    dropped = verdict(without(one))
    assert dropped[0] == 1 and "groups_missing" in dropped[1]
    swapped = bytearray(data)
    swapped[one.offset:one.offset + one.size] = data[other.offset:other.offset + other.size]
    swapped[other.offset:other.offset + other.size] = data[one.offset:one.offset + one.size]
    assert verdict(bytes(swapped))[0] == 1
    repeated = bytearray(data)
    repeated[other.offset:other.offset + other.size] = data[one.offset:one.offset + one.size]
    assert verdict(bytes(repeated))[0] == 1
    # A tail that is gone is what a crash leaves; but the index knows better.
    cut = verdict(data[:groups[-2].offset] + bytes(len(data) - groups[-2].offset))
    assert cut[0] == 1 and "log_behind_index" in cut[1]
    short = verdict(data[:groups[-2].offset])
    assert short[0] == 1 and "segment_unreadable" in short[1]
    assert verdict(data) == (0, [])


def test_H7_a_record_replayed_from_another_message_is_found(sound, hurt):
    """Of two messages of one size, the one's record under the other's name: frames and tags are what the group's MAC covers."""
    found = [record for record in damage.all_records(hurt) if record[3] == 3]
    (segment, one, length, _, first), (_, other, other_length, _, second) = next(
        (a, b) for a in found for b in found if a[0] == b[0] and a[2] == b[2] and a[1] < b[1])
    data = bytearray(segment.read_bytes())
    data[other:other + length] = data[one:one + length]
    segment.write_bytes(data)
    code, findings, _ = damage.examine(sound, spool=hurt)
    assert code == 1 and "group" in damage.kinds(findings)
    # Its sections alone, with its keys: then the frame's own tag does not fit.
    data = bytearray((sound.spool / segment.relative_to(hurt)).read_bytes())
    data[other + 48:other + length - 116] = data[one + 48:one + length - 116]
    segment.write_bytes(data)
    code, findings, _ = damage.examine(sound, spool=hurt)
    assert code == 1 and second in {finding.get("message") for finding in findings}


def test_H7_a_segment_that_is_missing_or_from_an_older_backup_is_found(home):
    big = [content(number, 1_500_000) for number in range(9)]
    with Server(home, settings={"shards": "1"}) as server:
        damage.deliver(server, big[:2])
        server.stop()
        before = damage.copy_spool(server.spool, home / "before")
        with server:
            damage.deliver(server, big[2:])
            server.stop()
            assert damage.examine(server)[0] == 0
            used = [path for path in damage.segments(server.spool) if damage.generation_of(path) and damage.groups_of(path)]
            assert len(used) >= 3
            for segment in used[:-1]:
                kept = segment.rename(home / "kept")
                code, findings, _ = damage.examine(server)
                assert code == 1 and "segment_missing" in damage.kinds(findings), segment
                assert "index_lost" in damage.kinds(findings), "messages that are gone with it are named"
                kept.rename(segment)
            for older in damage.segments(before):
                newer = server.spool / older.relative_to(before)
                if older.read_bytes() == newer.read_bytes():
                    continue
                content_now = newer.read_bytes()
                damage.overwrite(newer, 0, older.read_bytes())
                assert damage.examine(server)[0] == 1, older
                damage.overwrite(newer, 0, content_now)
            assert damage.examine(server)[0] == 0


def test_H8_an_index_that_does_not_fit_the_log_is_found(sound, hurt):
    index = next(hurt.glob("*/index/data.mdb"))
    good = index.read_bytes()

    def verdict():
        code, findings, _ = damage.examine(sound, "--quick", spool=hurt)
        return code, damage.kinds(findings)

    index.unlink()
    assert verdict() == (0, ["index_absent"])
    index.write_bytes(good)
    (index.parent / "unproven").touch()
    assert verdict() == (0, ["index_unproven"])
    (index.parent / "unproven").unlink()
    for harm in (good[:len(good) // 2], bytes(len(good)), b"\xa5" * len(good)):
        index.write_bytes(harm)
        assert verdict() == (1, ["index_damaged"])
    chance, found = random.Random(5), 0
    for _ in range(12):
        at = chance.randrange(len(good))
        harm = bytearray(good)
        harm[at:at + 64] = bytes(value ^ 0x5A for value in good[at:at + 64])
        index.write_bytes(harm)
        code, findings = verdict()
        assert (code, findings) in ((0, []), (1, ["index_damaged"])), at  # LMDB leaves old pages behind, where nothing is read
        found += code
    assert found > 0
    index.write_bytes(good)
    assert verdict() == (0, [])
