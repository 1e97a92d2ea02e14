"""HTTPS on the loopback, one address a site, and every way a web server may misbehave.

    with WebServer("127.0.0.31", authority, "mta-sts.a.example", answer=Answer(b"version: STSv1\\n...")) as web:
        web.answer = Answer(status=302, location="https://mta-sts.b.example/")
        ... web.asked lists (method, path), web.posted (path, header, body)
"""
import contextlib
import dataclasses
import http.server
import socket
import ssl
import threading


@dataclasses.dataclass
class Answer:
    body: bytes = b""
    status: int = 200
    type: str = "text/plain"
    location: str = ""
    silent: bool = False  # takes the request, and says nothing


class WebServer:
    def __init__(self, address, authority, *names, answer=None, port=443, **how):
        self.answer, self.asked, self.posted = answer or Answer(status=404), [], []
        self.released = threading.Event()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*authority.files(f"web-{address}", *names, **how).values())
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                owner.asked.append(("GET", self.headers["Host"], self.path))
                self.say()

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                owner.posted.append((self.path, dict(self.headers), body))
                self.say()

            def say(self):
                answer = owner.answer
                if answer.silent:
                    owner.released.wait()
                    self.close_connection = True
                    return
                self.send_response(answer.status)
                if answer.location:
                    self.send_header("Location", answer.location)
                self.send_header("Content-Type", answer.type)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, *_):
                pass

        class Quiet(http.server.ThreadingHTTPServer):
            def get_request(self):
                connection, peer = super().get_request()
                connection.settimeout(30)
                return context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), peer

            def handle_error(self, *_):
                pass  # clients that turn away, as they should

        self.server = Quiet((address, port), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.released.set()
        self.server.shutdown()
        with contextlib.suppress(OSError):
            self.server.socket.shutdown(socket.SHUT_RDWR)
        self.server.server_close()
        self.thread.join()
