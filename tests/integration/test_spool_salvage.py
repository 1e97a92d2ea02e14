#!/usr/bin/python3
"""ringpostctl spool salvage: a server can go on with what was saved; nobody gets wrong bytes, and none twice without a decision."""
import json
import os
import shutil

import pytest
import spool_damage as damage
from server import AioSink, Server

ALL = len(damage.SIZES)
HALF = [100 + number for number in range(ALL)]
FRESH = [200 + number for number in range(ALL)]


@pytest.fixture(scope="module")
def sound():
    with damage.sound_server() as server:
        yield server


@pytest.fixture
def hurt(sound):
    copy = damage.copy_spool(sound.spool, sound.home / "copy")
    yield copy
    shutil.rmtree(copy)


@pytest.fixture
def target(sound):
    yield sound.home / "saved"
    shutil.rmtree(sound.home / "saved", ignore_errors=True)


def salvage(server, target, spool=None):
    """Exit code, {message: why} of the lost and of the held, and the summary."""
    run = damage.run_spool(server, "salvage", target, "--json", spool=spool)
    assert run.returncode in (0, 1), (run.returncode, run.stdout, run.stderr)
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    fate = {what: {line["message"]: line["why"] for line in lines if line.get("salvage") == what} for what in ("lost", "held")}
    summary = lines[-1]["summary"]
    assert (summary["lost"], summary["held"]) == (len(fate["lost"]), len(fate["held"]))
    return run.returncode, fate["lost"], fate["held"], summary


def goes_on_with(sound, target, expected_held=0):
    """A server on the salvaged spool delivers all that is not held. Returns the numbers and recipients of what arrived."""
    code, findings, summary = damage.examine(sound, spool=target)
    assert (code, [finding for finding in findings if finding["finding"] != "index_absent"]) == (0, [])
    with AioSink() as sink:
        server = Server(sound.home, route=sink.route, settings={"shards": "1", "spool.directory": target, "retry.first": "1 s",
                                                                  "retry.max": "1 s"})
        try:
            with server:
                damage.wait_until("what is not held", lambda: len(server.queue()) == expected_held, meanwhile=server.must_run)
                held = server.recipients()
                server.stop()
        finally:
            sound.write_config()
        assert {(r["state"], r["reason"]) for r in held} - {("delivered", None)} <= {("held", "damaged")}
        return damage.numbers(sink.messages()), {recipient for _, to, _ in sink.messages() for recipient in to}


def id_of(sound, number, kind=3):
    """Of the message with this number: its id, by the order in which messages were accepted, and its records."""
    order = []
    for record in damage.all_records(sound.spool):
        if record[3] == 3 and record[4] not in order:
            order.append(record[4])
    message = order[number // 100 * ALL + number % 100]
    return message, [record for record in damage.all_records(sound.spool) if record[4] == message and record[3] == kind]


def test_a_sound_spool_is_saved_whole(sound, target):
    code, lost, held, summary = salvage(sound, target)
    assert (code, lost, held) == (0, {}, {})
    assert (summary["saved"], summary["over"]) == (2 * ALL, ALL)
    arrived, recipients = goes_on_with(sound, target)
    assert arrived == sorted(HALF + FRESH)
    assert recipients == {"bert@example.net", "cleo@example.net"}
    assert damage.examine(sound)[0] == 0, "the old spool is as it was"


def test_nothing_is_written_in_clear_or_for_others(sound, target):
    salvage(sound, target)
    assert target.stat().st_mode & 0o077 == 0
    for path in target.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert b"Subject" not in content and b"example.net" not in content


def test_H7_a_message_with_a_damaged_content_or_envelope_is_lost_and_no_other_one(sound, hurt, target):
    hurt_content, [(segment, offset, length, _, _)] = id_of(sound, FRESH[1])
    damage.flip(hurt / segment.relative_to(sound.spool), offset + length // 2)
    hurt_envelope, [(segment, offset, _, _, _)] = id_of(sound, HALF[0])
    damage.flip(hurt / segment.relative_to(sound.spool), offset + 48 + 112 + 8)
    hurt_piece, chunks = id_of(sound, HALF[3], kind=2)
    damage.flip(hurt / chunks[1][0].relative_to(sound.spool), chunks[1][1] + 5_000)
    hurt_keys, [(segment, offset, _, _, _)] = id_of(sound, FRESH[2])
    damage.flip(hurt / segment.relative_to(sound.spool), offset + 48 + 70)
    code, lost, held, summary = salvage(sound, target, spool=hurt)
    assert code == 1 and held == {}
    assert lost == {hurt_content: "content", hurt_envelope: "envelope", hurt_piece: "content", hurt_keys: "record"}
    arrived, _ = goes_on_with(sound, target)
    assert arrived == sorted(set(HALF + FRESH) - {FRESH[1], HALF[0], HALF[3], FRESH[2]})


def test_H7_a_message_whose_outcome_is_damaged_is_held(sound, hurt, target):
    """The outcome lies behind the index's mark too, so the index knows no more than the log."""
    message, outcomes = id_of(sound, HALF[1], kind=4)
    for segment, offset, length, _, _ in outcomes:
        damage.flip(hurt / segment.relative_to(sound.spool), offset + length - 40)
    shutil.rmtree(next(hurt.glob("*/index")))
    code, lost, held, summary = salvage(sound, target, spool=hurt)
    assert (code, lost, held) == (1, {}, {message: "outcome_unknown"})
    arrived, _ = goes_on_with(sound, target, expected_held=1)
    assert arrived == sorted(set(HALF + FRESH) - {HALF[1]})


def test_H7_what_lies_before_a_group_of_which_nothing_can_be_told_is_held(sound, hurt, target):
    _, [(segment, offset, *_)] = id_of(sound, FRESH[0])
    group = next(group for group in damage.groups_of(segment) if group.offset <= offset < group.offset + group.size)
    damage.overwrite(hurt / segment.relative_to(sound.spool), group.offset, os.urandom(group.size))
    shutil.rmtree(next(hurt.glob("*/index")))
    code, lost, held, summary = salvage(sound, target, spool=hurt)
    assert code == 1 and set(held.values()) == {"outcome_unknown"}
    assert len(held) == ALL, "those that were before it; what came later is sure"
    arrived, _ = goes_on_with(sound, target, expected_held=ALL)
    assert arrived == FRESH[1:]


def test_a_message_that_only_the_index_knows_is_named(sound, hurt, target):
    message, [(segment, offset, *_)] = id_of(sound, FRESH[0])
    group = next(group for group in damage.groups_of(segment) if group.offset <= offset < group.offset + group.size)
    damage.overwrite(hurt / segment.relative_to(sound.spool), group.offset, bytes(group.size))
    code, lost, _, _ = salvage(sound, target, spool=hurt)
    assert code == 1 and lost == {message: "index_lost"}


def test_a_segment_that_is_gone_costs_what_lay_in_it(sound, hurt, target):
    segment = next(path for path in damage.segments(hurt) if damage.generation_of(path) == 1)
    damage.overwrite(segment, 0, os.urandom(damage.BLOCK))
    code, lost, held, summary = salvage(sound, target, spool=hurt)
    assert code == 1 and summary["saved"] + summary["lost"] == 2 * ALL and set(lost.values()) == {"index_lost"}


def test_salvage_fills_a_new_directory_only(sound, home):
    (home / "full").mkdir()
    (home / "full" / "something").touch()
    for place in (home / "full", sound.spool / "inside"):
        run = damage.run_spool(sound, "salvage", place)
        assert run.returncode == 2 and run.stdout == "" and str(place) in run.stderr
    assert not (sound.spool / "inside").exists()
