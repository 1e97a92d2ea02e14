#!/usr/bin/python3
"""Held mail: no file that any process writes holds a word of it. After SIGKILL all of it arrives byte for byte."""
import base64
import random
import secrets
import stat

import pytest
from server import MIB, BenchSink, Client, Server, without_received

# Words of the sender, a recipient, the client's EHLO name, the header and the body. Random, so that no file has them by chance;
# letters and digits alone, so that they may stand in a domain.
# All contain one stem, so that the files have to be searched for that alone.
STEM = secrets.token_hex(8)
PLACES = ["sender", "senderdomain", "recipient", "recipientdomain", "subject", "filename", "begin", "middle", "end"]


def forms(word):
    """The ways in which a word may have been written down."""
    plain = word.encode()
    yield from (plain, plain.upper(), plain[::-1], plain.hex().encode(), plain.hex().upper().encode(),
                plain.decode().encode("utf-16-le"))
    for shift in range(3):  # base64 looks different at each of the three places; its ends depend on the neighbours
        encoded = base64.b64encode(b"\0" * shift + plain)
        yield encoded[4 if shift else 0:len(encoded) // 4 * 4 - 4]


def files_below(folder):
    return [path for path in sorted(folder.rglob("*")) if stat.S_ISREG(path.lstat().st_mode)]


def holders(folder):
    """(file, form) for each form of the planted stem in any file; it may lie anywhere, also across two blocks.

    Helpers at work replace files by renaming new ones: the search starts anew when one it had listed is gone, for it may have missed
    the one in its place.
    """
    for _ in range(100):
        try:
            return [(str(path), form) for path in files_below(folder) for content in [path.read_bytes()]
                    for form in forms(STEM) if form in content]
        except FileNotFoundError:
            continue
    raise AssertionError("files came and went during each of 100 searches")


class Planted:
    """A message with a word in each of its places."""

    def __init__(self, number, size):
        self.words = {place: f"{place[:4]}{STEM}{secrets.token_hex(4)}" for place in PLACES}
        words, chance = self.words, random.Random(number)
        self.sender = f"{words['sender']}@{words['senderdomain']}.example"
        self.recipients = [f"{words['recipient']}@{words['recipientdomain']}.example", "bert@example.net"]
        filler = b"".join(b"%x\r\n" % chance.getrandbits(280) for _ in range(size // 72))
        half = filler.index(b"\n", len(filler) // 2) + 1
        header = (f"From: <{self.sender}>\r\nSubject: {words['subject']}\r\nMIME-Version: 1.0\r\n"
                  f"Content-Type: text/plain; name={words['filename']}.txt\r\n\r\n{words['begin']}\r\n").encode()
        self.content = (header + filler[:half] + words["middle"].encode() + b"\r\n" + filler[half:] +
                        words["end"].encode() + b"\r\n")


def test_the_search_finds_what_is_there(tmp_path):
    for number, form in enumerate(forms(STEM)):
        assert len(form) >= 12
        (tmp_path / str(number)).write_bytes(b"\0" * 4095 + form + b"\0")
    assert len({path for path, _ in holders(tmp_path)}) == number + 1
    word = Planted(0, 1000).words["subject"].encode()
    for shift in range(6):  # wherever it stands in what is encoded
        place = tmp_path / f"base64-{shift}"
        place.write_bytes(base64.b64encode(b"x" * shift + word + b"yyyy"))
        assert str(place) in dict(holders(tmp_path))


@pytest.mark.parametrize("level", ["info", "debug"])
def test_nothing_is_written_in_clear_and_everything_arrives_after_sigkill(home, level):
    sizes = [200, 1_500, 5_000, 70_000, 300_000, 3 * MIB, 9 * MIB]
    planted = [Planted(number, size) for number, size in enumerate(sizes * 2)]
    server = Server(home, settings={"log.level": level})
    with server:
        with Client(server.port) as client:
            for message in planted[:-1]:
                client.send(message.sender, message.recipients, message.content)
            # The last one over BDAT, and things that go wrong with a word in them.
            last = planted[-1]
            client.envelope(last.sender, last.recipients)
            client.write(b"BDAT %d LAST\r\n" % len(last.content) + last.content)
            assert client.reply().startswith("250")
            assert client.ask(f"VRFY {planted[0].words['recipient']}")[0] in "25"
            assert client.ask(f"{planted[0].words['subject']} {planted[0].words['begin']}").startswith("5")
            assert client.ask(f"MAIL FROM:<{planted[0].sender}").startswith("5")
        assert server.run_ctl("get", planted[0].words["sender"]).returncode == 1
        assert server.run_ctl("queue", "show", planted[0].words["sender"]).returncode == 1
        queue = server.queue()
        assert sorted(recipient["address"] for message in queue for recipient in message["recipients"]) == \
            sorted(recipient for message in planted for recipient in message.recipients)
        assert holders(home) == []
        server.kill()
        assert holders(home) == []
    sealed = sum(path.stat().st_size for path in files_below(home / "spool"))
    assert sealed > sum(len(message.content) for message in planted), "the mail was searched for where it is not"

    with BenchSink() as sink:
        server.settings["route.default"] = sink.route
        server.write_config()
        with server:
            server.wait_delivered()
            got = sink.messages()
            server.stop()
    assert sorted((sender, recipients, without_received(content)) for sender, recipients, content in got) == \
        sorted((message.sender, message.recipients, message.content) for message in planted)
    assert holders(home) == []


def test_what_a_crash_leaves_is_for_nobody_else(home):
    """Files of the spool, the keys and the audit log have no rights for others."""
    with Server(home) as server:
        with Client(server.port) as client:
            client.send("anna@example.org", ["bert@example.net"], b"Subject: s\r\n\r\nx\r\n")
        # What lies in a folder that only its owner may enter cannot be reached: the folders are what counts.
        assert not [path for path in (server.spool, server.keys, server.audit) if path.stat().st_mode & 0o077]
        limits = dict(line.split(":", 1) for line in open(f"/proc/{server.process.pid}/status").read().splitlines())
        assert int(limits["CapEff"], 16) == 0


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
