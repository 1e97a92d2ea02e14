#!/usr/bin/python3
"""REQUIRETLS and "TLS-Required: No" (RFC 8689), from a client's MAIL to the next hop's, and to the bounce where there is none."""
import smtplib

import pytest
from certificates import Authority
from server import PATIENCE_S, Server, TlsSink, wait_until

HOST = "relay.example.com"
MESSAGE = "From: a@client.example\r\nTo: b@next.example\r\nSubject: kept from others\r\n{more}\r\nthe body of it\r\n"


@pytest.fixture
def authority(home):
    return Authority(home)


class PromisingSink(TlsSink):
    """Takes REQUIRETLS and offers it, if `promises`; keeps the parameter with each message."""

    def __init__(self, authority, *names, promises=True, **how):
        from aiosmtpd.smtp import SMTP
        self.promises, self.marked = promises, []
        original, sink = SMTP.smtp_MAIL, self

        async def smtp_MAIL(smtp, arg):
            marked = bool(arg) and arg.endswith(" REQUIRETLS")
            if marked and not sink.promises:
                return await smtp.push("555 5.5.4 unknown parameter")
            if id(smtp.event_handler) == id(sink):
                sink.marked.append(marked)
            return await original(smtp, arg.removesuffix(" REQUIRETLS") if arg else arg)
        smtp_MAIL.__dict__.update(original.__dict__)
        self.type = type("PromisingSmtp", (SMTP,), {"smtp_MAIL": smtp_MAIL})
        super().__init__(authority, *names, **how)

    async def handle_EHLO(self, server, session, envelope, hostname, responses):
        session.host_name = hostname
        if self.promises and session.ssl is not None:
            responses.insert(-1, "250-REQUIRETLS")
        return responses

    async def handle_DATA(self, server, session, envelope):
        self.kept.append((envelope.mail_from, envelope.rcpt_tos, envelope.original_content))
        return "250 OK"


def relay(home, authority, hop, back, **settings):
    return Server(home, route=f"smtp://localhost:{hop.port}", settings={
        "shards": "1", "tls.trust_file": str(authority.trust), "destination.localhost..tls": "verify", "retry.first": "300 s",
        "listener.test.tls": "offered", "route.client.example": f"smtp://localhost:{back.port}", **authority.files("own", HOST), **settings})


def send(server, authority, require=True, tls=True, more=""):
    with smtplib.SMTP("127.0.0.1", server.port, "client.example", timeout=PATIENCE_S) as smtp:
        smtp._host = HOST
        smtp.ehlo()
        assert not smtp.has_extn("requiretls")
        if tls:
            assert smtp.starttls(context=authority.context())[0] == 220
            smtp.ehlo()
            assert smtp.has_extn("requiretls")
        smtp.sendmail("a@client.example", ["b@next.example"], MESSAGE.format(more=more), mail_options=["REQUIRETLS"] if require else [])


def test_it_goes_on_to_a_hop_that_promises_the_same(home, authority):
    with PromisingSink(authority, "localhost") as hop, relay(home, authority, hop, hop) as server:
        send(server, authority)
        send(server, authority, require=False)
        server.wait_delivered()
        assert sorted(hop.marked) == [False, True]
        assert len(hop.kept) == 2
    # And from the spool, by a server that has just started.
    with PromisingSink(authority, "localhost") as hop:
        server.settings["route.default"] = "hold"
        server.write_config()
        with server:
            send(server, authority)
            server.stop()
        server.settings["route.default"] = f"smtp://localhost:{hop.port}"
        server.write_config()
        with server:
            server.settle()
            server.ctl("queue", "retry", "--all")
            server.wait_delivered()
        assert hop.marked == [True]


def test_T9_a_hop_without_it_sends_the_message_back_and_the_bounce_has_the_same_mark(home, authority):
    with PromisingSink(authority, "localhost", promises=False) as hop, PromisingSink(authority, "localhost") as back, \
            relay(home, authority, hop, back) as server:
        send(server, authority)
        server.wait_delivered()
        assert hop.kept == [] and back.marked == [True]
        sender, recipients, content = back.kept[0]
        assert (sender, recipients) == ("<>", ["a@client.example"])
        assert b"Status: 5.7.30" in content and b"kept from others" in content and b"the body of it" not in content
        failed = wait_until("the event", lambda: [event for event in server.audit_lines() if event["event"] == "recipient_failed"])
        assert failed[0]["reason"] == "requiretls_unmet"


def test_a_certificate_that_does_not_hold_sends_it_back(home, authority):
    with PromisingSink(authority, "elsewhere.example") as hop, PromisingSink(authority, "localhost") as back, \
            relay(home, authority, hop, back) as server:
        send(server, authority)
        server.wait_delivered()
        assert hop.kept == [] and len(back.kept) == 1


def test_it_is_not_known_in_clear(home, authority):
    with PromisingSink(authority, "localhost") as hop, relay(home, authority, hop, hop) as server:
        with pytest.raises(smtplib.SMTPSenderRefused) as refused:
            send(server, authority, tls=False)
        assert refused.value.smtp_code == 555


def test_the_header_field_does_not_undo_what_is_configured_nor_the_stronger_word(home, authority):
    with PromisingSink(authority, "elsewhere.example") as hop, relay(home, authority, hop, hop) as server:
        send(server, authority, require=False, more="TLS-Required: No\r\n")
        tried = wait_until("an attempt", lambda: [each for each in server.recipients() if each["attempts"]], meanwhile=server.must_run)
        assert tried[0]["reason"] == "peer_not_verified"
        server.ctl("set", "destination.localhost..tls=auto")
        server.ctl("queue", "retry", "--all")
        server.wait_delivered()
        assert len(hop.kept) == 1 and b"TLS-Required: No" in hop.kept[0][2]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
