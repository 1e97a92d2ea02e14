#!/usr/bin/python3
"""H7 with the real server: a spool that was hurt anywhere is found to be, and a server that starts on it never delivers a wrong
byte."""
import os
import random
import shutil

import pytest
import spool_damage as damage
from server import AioSink, Server, wait_until

VERIFIED, STARTED = 60, 6  # flips; the unit tests of module rescue try thousands


@pytest.fixture(scope="module")
def sound():
    with damage.sound_server() as server:
        yield server


def used_end(segment):
    groups = damage.groups_of(segment)
    return groups[-1].offset + groups[-1].size if groups else damage.BLOCK


def places(spool, count):
    """(segment, offset): spread over all bytes that mean something, by a fixed chance."""
    chance = random.Random(11)
    used = [(segment, used_end(segment)) for segment in damage.segments(spool) if damage.generation_of(segment)]
    whole = sum(end for _, end in used)
    for number in range(count):
        at = (whole * number + chance.randrange(whole)) // count
        for segment, end in used:
            if at < end:
                yield segment, at
                break
            at -= end


def test_H7_every_flip_in_a_real_spool_is_found(sound):
    hurt = damage.copy_spool(sound.spool, sound.home / "copy")
    missed = []
    for segment, at in places(hurt, VERIFIED):
        mask = 1 << random.Random(at).randrange(8)
        damage.flip(segment, at, mask)
        code, findings, _ = damage.examine(sound, spool=hurt)
        damage.flip(segment, at, mask)
        if code == 0:
            missed.append((segment.name, at, findings))
    assert not missed
    assert damage.examine(sound, spool=hurt)[:2] == (0, [])
    shutil.rmtree(hurt)


@pytest.mark.parametrize("index", ["with its index", "without an index"])
def test_H7_a_server_on_a_hurt_spool_never_delivers_a_wrong_byte(sound, index):
    waiting = {100 + number for number in range(len(damage.SIZES))} | {200 + number for number in range(len(damage.SIZES))}
    for number, (segment, at) in enumerate(places(sound.spool, STARTED)):
        hurt = damage.copy_spool(sound.spool, sound.home / "hurt")
        damage.flip(hurt / segment.relative_to(sound.spool), at, 1 << number % 8)
        if index == "without an index":
            shutil.rmtree(next(hurt.glob("*/index")))
        with AioSink() as sink:
            server = Server(sound.home, route=sink.route, settings={"shards": "1", "spool.directory": hurt, "retry.first": "1 s",
                                                                    "retry.max": "1 s"})
            server.log = server.home / "hurt.log"
            server.launch()

            def at_rest():
                if server.process.poll() is not None:
                    return True
                # While it starts it may not be asked yet.
                listing = server.run_ctl("queue", "list", "--json")
                if listing.returncode != 0:
                    return False
                return all(recipient["state"] in ("delivered", "held", "failed") or recipient["reason"] == "damaged"
                           for message in server.queue() for recipient in message["recipients"])
            try:
                wait_until("an end of deliveries", at_rest)
            finally:
                server.end()
                sound.write_config()
            arrived = damage.numbers(sink.messages())  # which compares every byte
        shutil.rmtree(hurt)
        # A lost outcome may repeat a delivery; what was delivered and is over never comes again in this spool's few records.
        assert set(arrived) <= waiting | set(range(len(damage.SIZES))), (segment.name, at)
        assert len(set(arrived)) >= len(waiting) - 1 or at < damage.BLOCK, "one flip costs one message at most"


@pytest.fixture
def own_spool(home):
    """A stopped server with some mail."""
    server = Server(home)
    with server:
        damage.deliver(server, [damage.content(number, 3_000) for number in range(3)])
        server.stop()
    return server


def test_H6_a_spool_that_is_a_link_or_a_strangers_is_refused(own_spool):
    server, aside = own_spool, own_spool.home / "aside"
    server.spool.rename(aside)
    server.spool.symlink_to(aside)
    assert "links are not followed" in server.refuses_to_start()[1]
    run = damage.run_spool(server, "verify")
    assert run.returncode == 2 and "links are not followed" in run.stderr
    server.spool.unlink()
    aside.rename(server.spool)
    if os.geteuid() != 0:
        pytest.skip("the rest needs root")
    owner = server.spool.stat()
    shutil.chown(server.spool, "nobody", "nogroup")
    assert "belongs to" in server.refuses_to_start()[1]
    run = damage.run_spool(server, "verify")
    assert run.returncode == 2 and "belongs to" in run.stderr
    os.chown(server.spool, owner.st_uid, owner.st_gid)
    with server:
        assert len(server.queue()) == 3


def plant_symlink(target, place):
    place.symlink_to(target)


def plant_hard_link(target, place):
    os.link(target, place)


def plant_directory(target, place):
    place.mkdir()


@pytest.mark.parametrize("plant", [plant_symlink, plant_hard_link, plant_directory])
def test_H6_what_is_planted_in_the_spool_is_not_followed_and_is_told(own_spool, plant):
    """A precious file of somebody else, under the names that a spool has and that the server writes."""
    server = own_spool
    precious = server.home / "precious"
    precious.write_bytes(b"precious" * 2048)
    before = precious.read_bytes()
    partition = next(path for path in server.spool.iterdir() if path.is_dir())
    planted = [partition / "00000077.seg", server.spool / "probe.tmp.planted"]
    for place in planted:
        plant(precious, place)
    code, findings, _ = damage.examine(server)
    assert code == 1 and damage.kinds(findings) == ["foreign_file"] and len(findings) == len(planted)
    with server:
        assert len(server.queue()) == 3
        damage.deliver(server, [damage.content(50, 3_000)])
        assert len(server.queue()) == 4
        server.stop()
    assert precious.read_bytes() == before and all(os.path.lexists(place) for place in planted)


@pytest.mark.parametrize("name", ["store", "lock"])
def test_H6_a_link_in_place_of_the_servers_own_files_is_refused(own_spool, name):
    server = own_spool
    place = next(server.spool.glob(name if name == "store" else f"*/{name}"))
    aside = server.home / f"aside-{name}"
    shutil.copy2(place, aside)
    place.unlink()
    place.symlink_to(aside)
    before = aside.read_bytes()
    code, said = server.refuses_to_start()
    assert code == 1 and aside.read_bytes() == before
    assert damage.run_spool(server, "verify").returncode in (1, 2)


@pytest.mark.parametrize("harm", ["removed", "renamed"])
def test_H6_a_spool_directory_that_goes_away_costs_no_acknowledged_message(home, harm):
    """Its files are open: what is acknowledged is on the disk that was there. What cannot be kept is refused for now."""
    server = Server(home, settings={"shards": "1"})
    with server:
        damage.deliver(server, [damage.content(1, 3_000)])
        aside = home / "aside"
        server.spool.rename(aside)
        if harm == "removed":
            kept = damage.copy_spool(aside, home / "kept")
            shutil.rmtree(aside)
            aside = kept
        replies = []
        with damage.Client(server.port) as client:
            for number in range(40):
                reply = client.ask("MAIL FROM:<anna@example.org>")
                if reply.startswith("250"):
                    assert client.ask("RCPT TO:<bert@example.net>").startswith("250")
                    reply = client.data(damage.content(number, 300_000))
                replies.append(reply[:3])
        assert set(replies) <= {"250", "451", "452"}, replies
        assert replies[-1] in ("451", "452"), "segments that are ready are used up, and new ones cannot be made"
        server.kill()
        server.end()
        aside.rename(server.spool)
        if harm == "renamed":
            with server:
                assert len(server.queue()) == 1 + replies.count("250")
