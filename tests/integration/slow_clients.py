#!/usr/bin/python3
"""A crowd of clients that send one byte every ten seconds (slowloris). One process, one thread, many source addresses.

    slow_clients.py PORT SECONDS

SECONDS lie between two bytes of a client. Reads commands on standard input, and answers each with one line of JSON:

    join PLACE COUNT    so many more clients go to a place (PLACES below); answers when all are there
    round               answers when every client that is still connected has sent a byte since
    ended PLACE COUNT   answers when so many of that place were disconnected: how many were told 421
"""
import heapq
import json
import os
import random
import resource
import select
import socket
import sys
import time

ENVELOPE = b"EHLO slow.example.org\r\nMAIL FROM:<s@slow.example.org>\r\nRCPT TO:<t@example.net>\r\n"
# What a client says at once, how many replies it waits for, the banner included, and what it drips from then on.
PLACES = {
    "greeting": (b"", 1, b"EHLO slow.example.org"),
    "command": (b"EHLO slow.example.org\r\n", 2, b"MAIL FROM:<slow@slow.example.org"),
    "data": (ENVELOPE + b"DATA\r\n", 5, b"Subject: slow\r\n\r\nx"),
    "bdat": (ENVELOPE + b"BDAT 100000 LAST\r\n", 4, b"Subject: slow\r\n\r\nx"),
}
AT_ONCE = 200  # connecting; the server's backlog is no part of this
PER_ADDRESS = 40


class Client:
    def __init__(self, crowd, place, number):
        self.crowd, self.place = crowd, place
        self.opening, self.replies, self.drips = PLACES[place]
        self.seen, self.settled, self.sent, self.round = b"", False, 0, 0
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.bind((f"127.{1 + number // PER_ADDRESS // 250}.{1 + number // PER_ADDRESS % 250}.1", 0))
        self.socket.connect_ex(("127.0.0.1", crowd.port))

    def read(self):
        try:
            piece = self.socket.recv(4096)
        except BlockingIOError:
            return
        except ConnectionError:
            piece = b""
        self.seen += piece
        if not piece:
            return self.crowd.lose(self)
        if self.settled:
            return
        if self.opening and self.seen.startswith(b"220"):
            self.socket.send(self.opening)
            self.opening = b""
        # Last lines of replies: a blank behind the code.
        if not self.opening and sum(line[3:4] == b" " for line in self.seen.split(b"\r\n")) >= self.replies:
            self.seen, self.settled = b"", True
            self.crowd.settle(self)

    def drip(self):
        try:
            self.socket.send(self.drips[self.sent:self.sent + 1] or self.drips[-1:])
        except OSError:
            return self.crowd.lose(self)
        self.sent += 1


class Crowd:
    def __init__(self, port, seconds):
        self.port, self.seconds = port, seconds
        self.epoll = select.epoll()
        self.clients, self.due, self.joining = {}, [], []
        self.ended = {place: [] for place in PLACES}
        self.number = self.unsettled = self.round = self.to_drip = 0
        self.waiting, self.answer = None, {}
        self.random = random.Random(16)

    def command(self, words):
        if words[0] == "join":
            self.joining = [words[1]] * int(words[2])
            self.waiting = lambda: not self.joining and not self.unsettled
        elif words[0] == "round":
            self.round += 1
            self.to_drip = len(self.clients)
            self.waiting = lambda: self.to_drip == 0
        elif words[0] == "ended":
            self.waiting = lambda: len(self.ended[words[1]]) >= int(words[2])
        self.answer = lambda: {"did": words, "connected": len(self.clients),
                               "told": sum(text.startswith(b"421") for text in self.ended[words[-2]]) if words[0] == "ended" else 0}

    def settle(self, client):
        self.unsettled -= 1
        client.round = self.round
        heapq.heappush(self.due, (time.monotonic() + self.random.uniform(0, self.seconds), client.socket.fileno(), client))

    def lose(self, client):
        if not self.clients.pop(client.socket.fileno(), None):
            return
        if not client.settled:
            sys.exit(f"lost before it was at its place ({client.place}): {client.seen[-200:]}")
        self.to_drip -= client.round < self.round
        self.ended[client.place].append(client.seen)
        client.socket.close()

    def run(self):
        self.epoll.register(0, select.EPOLLIN)
        while True:
            while self.joining and self.unsettled < AT_ONCE:
                client = Client(self, self.joining.pop(), self.number)
                self.number += 1
                self.unsettled += 1
                self.clients[client.socket.fileno()] = client
                self.epoll.register(client.socket, select.EPOLLIN)
            if self.waiting and self.waiting():
                print(json.dumps(self.answer()), flush=True)
                self.waiting = None
            patience = max(0, self.due[0][0] - time.monotonic()) if self.due else -1
            for descriptor, _ in self.epoll.poll(patience, 1024):
                if descriptor:
                    if client := self.clients.get(descriptor):
                        client.read()
                elif line := sys.stdin.readline():
                    self.command(line.split())
                else:
                    return
            self.drip()

    def drip(self):
        now = time.monotonic()
        while self.due and self.due[0][0] <= now:
            at, descriptor, client = heapq.heappop(self.due)
            if self.clients.get(descriptor) is not client:
                continue
            client.drip()
            if self.clients.get(descriptor) is client:
                self.to_drip -= client.round < self.round
                client.round = self.round
                heapq.heappush(self.due, (at + self.seconds, descriptor, client))


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    Crowd(int(sys.argv[1]), float(sys.argv[2])).run()
