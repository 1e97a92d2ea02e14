#!/usr/bin/python3
"""When mail is to be delivered, as users ask for it: smtplib against the real server, over restarts and by operators' orders."""
import datetime
import json
import time

from server import BenchSink, wait_until
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

