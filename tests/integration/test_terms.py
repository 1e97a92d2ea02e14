#!/usr/bin/python3
"""When mail is to be delivered, as users ask for it: smtplib against the real server, over restarts and by operators' orders."""
import datetime
import json
import re
import socketserver
import threading
import time

from server import BenchSink, free_port, wait_until
from test_submission import ANNA, MAIL, PASSWORD, SubmissionServer


def submit(server, *parameters, subject="hello", code=250):
    with server.smtp() as smtp:
        smtp.login(ANNA, PASSWORD)
        said = smtp.mail(ANNA, parameters)
        assert said[0] == code, said
        if code == 250:
            assert smtp.rcpt("b@next.example")[0] == 250
            assert smtp.data(MAIL.replace("hello", subject))[0] == 250
        return said[1].decode()


def utc(seconds_from_now):
    return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds_from_now)).strftime("%Y-%m-%dT%H:%M:%SZ")


def subjects(sink):
    return sorted(line.split(" ", 1)[1] for _, _, content in sink.messages() for line in content.decode().split("\r\n") if line.startswith("Subject: "))


def test_mail_for_later(home):
    with BenchSink() as sink, SubmissionServer(home, route=sink.route) as server:
        with server.smtp() as smtp:
            interval, until = smtp.esmtp_features["futurerelease"].split()
            assert int(interval) == 7 * 86400
            assert abs(datetime.datetime.fromisoformat(until).timestamp() - time.time() - 7 * 86400) < 60
        for refused in ("HOLDFOR=0", "HOLDFOR=604801", "HOLDUNTIL=9999-01-01T00:00:00Z", "HOLDUNTIL=1801353600", f"HOLDFOR=60 HOLDUNTIL={utc(60)}"):
            submit(server, refused, code=501)

        for subject, parameter in (("hour", "HOLDFOR=3600"), ("until", f"HOLDUNTIL={utc(7200)}"), ("days", "HOLDFOR=500000")):
            submit(server, parameter, subject=subject)
        began = time.monotonic()
        submit(server, "HOLDFOR=3", subject="soon")
        submit(server, f"HOLDUNTIL={utc(-60)}", subject="over")
        submit(server, subject="now")
        wait_until("what is not held", lambda: sink.count() >= 2, meanwhile=server.must_run)
        wait_until("what is held for seconds", lambda: sink.count() == 3, meanwhile=server.must_run)
        assert time.monotonic() - began >= 3
        assert subjects(sink) == ["now", "over", "soon"]

        def waiting():
            queue = server.queue()
            for message in queue:
                assert [(one["state"], one["reason"], one["attempts"]) for one in message["recipients"]] == [("queued", "future_release", 0)], message
            ahead = [datetime.datetime.fromisoformat(message["recipients"][0]["next"]).timestamp() - time.time() for message in queue]
            return [message for _, message in sorted(zip(ahead, queue), key=lambda one: one[0])], sorted(ahead)

        queue, ahead = waiting()
        assert 3000 < ahead[0] <= 3600 and 6600 < ahead[1] <= 7200 and 499_000 < ahead[2] <= 500_000, ahead
        server.stop()
        server.start()
        again, still_ahead = waiting()
        assert [message["id"] for message in again] == [message["id"] for message in queue]
        assert all(before - 600 < after <= before for before, after in zip(ahead, still_ahead)), (ahead, still_ahead)
        server.kill()
        server.start()
        hour, until, days = (message["id"] for message in waiting()[0])
        (shown,) = [json.loads(line) for line in server.ctl("queue", "show", hour, "--json").splitlines()]
        assert shown["recipients"][0]["reason"] == "future_release"
        assert json.loads(server.ctl("queue", "summary", "--json"))["reasons"] == {"future_release": 3}

        server.ctl("queue", "release", hour)
        wait_until("what was released", lambda: sink.count() == 4, meanwhile=server.must_run)
        server.ctl("queue", "retry", until)
        wait_until("what was retried", lambda: sink.count() == 5, meanwhile=server.must_run)
        server.ctl("queue", "delete", days)
        wait_until("an empty queue", lambda: not server.queue(), meanwhile=server.must_run)
        assert subjects(sink) == ["hour", "now", "over", "soon", "until"]


def test_mail_that_is_held_and_for_later_waits_for_both(home):
    with BenchSink() as sink, SubmissionServer(home, route=sink.route) as server:
        submit(server, "HOLDFOR=3600")
        (message,) = server.queue()
        server.ctl("queue", "hold", message["id"])
        assert server.recipients()[0]["reason"] == "operator_holds"
        server.ctl("queue", "release", message["id"])
        assert server.recipients()[0]["reason"] == "future_release"
        server.ctl("queue", "redirect", "c@other.example", message["id"])
        (moved,) = server.queue()
        assert moved["id"] != message["id"] and moved["recipients"][0]["reason"] == "future_release", moved
        server.ctl("queue", "release", moved["id"])
        wait_until("it", lambda: sink.count() == 1, meanwhile=server.must_run)
        ((_, recipients, _),) = sink.messages()
        assert recipients == ["c@other.example"], recipients


class Hop(socketserver.ThreadingTCPServer):
    """Takes everything, offers `extensions`, and keeps what MAIL says."""
    allow_reuse_address = daemon_threads = True

    def __init__(self, *extensions):
        self.mails = []
        hop = self

        class Session(socketserver.StreamRequestHandler):
            def handle(self):
                self.say("220 hop.example")
                while line := self.rfile.readline().decode().strip():
                    verb = line.split()[0]
                    if verb == "EHLO":
                        self.say("\r\n".join(["250-hop.example", *(f"250-{name}" for name in extensions), "250 PIPELINING"]))
                    elif verb == "DATA":
                        self.say("354 go on")
                        while self.rfile.readline() not in (b".\r\n", b""):
                            pass
                        self.say("250 2.0.0 taken")
                    else:
                        if verb == "MAIL":
                            hop.mails.append(line)
                        self.say("221 bye" if verb == "QUIT" else "250 2.0.0 ok")

            def say(self, reply):
                self.wfile.write(reply.encode() + b"\r\n")

        super().__init__(("127.0.0.1", 0), Session)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def route(self):
        return f"smtp://127.0.0.1:{self.server_address[1]}"

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


def reports(sink):
    """Of each report its action, its status and whether it says by when the message was wanted."""
    found = []
    for reverse_path, recipients, content in sink.messages():
        if reverse_path == "":
            assert recipients == [ANNA]
            text = content.decode()
            found.append((re.search(r"^Action: (.*)\r$", text, re.M)[1], re.search(r"^Status: (.*)\r$", text, re.M)[1], "Deliver-By-Date: " in text))
    return found


QUICK = {"submission.deliver_by_min": "0", "retry.first": "1 s", "retry.max": "1 s"}


def test_mail_that_comes_back_when_its_time_is_over(home):
    away = free_port()
    with BenchSink() as sink, SubmissionServer(home, route=sink.route, **{"route.next.example": f"smtp://127.0.0.1:{away}", **QUICK}) as server:
        began = time.monotonic()
        submit(server, "BY=3;R")
        wait_until("the report", lambda: sink.count() == 1, meanwhile=server.must_run)
        assert time.monotonic() - began >= 3
        assert reports(sink) == [("failed", "5.4.7", True)]
        server.wait_delivered()


def test_mail_whose_sender_hears_when_its_time_is_over(home):
    away = free_port()
    with BenchSink() as sink, SubmissionServer(home, route=sink.route, **{"route.next.example": f"smtp://127.0.0.1:{away}", **QUICK}) as server:
        submit(server, "BY=3;N")
        submit(server, "BY=0;N")
        server.stop()
        server.start()
        wait_until("the report", lambda: sink.count() == 1, meanwhile=server.must_run)
        assert reports(sink) == [("delayed", reports(sink)[0][1], True)], "of the one whose time was not over before"
        with BenchSink(port=away) as hop:
            wait_until("both", lambda: hop.count() == 2, meanwhile=server.must_run)
            wait_until("what became of them", lambda: sink.count() == 3, meanwhile=server.must_run)
        assert sorted(action for action, _, _ in reports(sink)) == ["delayed", "relayed", "relayed"]


def test_who_keeps_a_time_is_told_of_it(home):
    with BenchSink() as sink, Hop("DELIVERBY 60") as hop, SubmissionServer(
            home, route=sink.route, **{"route.next.example": hop.route, "route.other.example": sink.route, **QUICK}) as server:
        submit(server, "BY=3600;R")
        submit(server, "BY=3600;NT")
        submit(server, "BY=-60;N")
        wait_until("all", lambda: len(hop.mails) == 3, meanwhile=server.must_run)
        said = sorted(re.fullmatch(rf"MAIL FROM:<{ANNA}>(?: SIZE=\d+)? BY=(-?\d+);(\w+)", mail).groups() for mail in hop.mails)
        assert [mode for _, mode in sorted(said, key=lambda one: one[1])] == ["N", "NT", "R"]
        assert all(3500 < int(left) <= 3600 if mode != "N" else -160 < int(left) <= -60 for left, mode in said), said
        wait_until("the trace", lambda: sink.count() == 1, meanwhile=server.must_run)
        assert [action for action, _, _ in reports(sink)] == ["relayed"]
        # A hop that does not know it gets nothing that is to come back, and there it is not tried again.
        submit(server, "BY=30;R")
        wait_until("the report", lambda: sink.count() == 2, meanwhile=server.must_run)
        assert reports(sink)[1] == ("failed", "5.4.7", True), "the hop wants a minute"
        assert len(hop.mails) == 3


def test_priority_goes_on_and_is_kept(home):
    with BenchSink() as sink, Hop("MT-PRIORITY") as hop, SubmissionServer(
            home, route=sink.route, **{"route.next.example": hop.route, **QUICK}) as server:
        with server.smtp() as smtp:
            assert smtp.has_extn("mt-priority")
        assert submit(server, "MT-PRIORITY=3").startswith("2.1.0")
        assert submit(server, "MT-PRIORITY=9").startswith("2.3.6 4 ")
        submit(server, "MT-PRIORITY=-2")
        submit(server)
        wait_until("all", lambda: len(hop.mails) == 4, meanwhile=server.must_run)
        assert sorted(re.findall(r"MT-PRIORITY=(-?\d)", " ".join(hop.mails))) == ["-2", "3", "4"], hop.mails
        # Over a restart, from the log.
        submit(server, "MT-PRIORITY=2", "HOLDFOR=3")
        server.stop()
        server.start()
        wait_until("it", lambda: len(hop.mails) == 5, meanwhile=server.must_run)
        assert hop.mails[4].endswith(" MT-PRIORITY=2"), hop.mails
