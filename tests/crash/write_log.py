"""A disk that remembers: serves a QEMU guest over NBD, logs every write and flush, and says what a power cut could have left.

What a flush promises is only this: a write that had been answered before the flush was asked for is durable when the flush is
answered. Everything else is a write that the disk may have kept, lost or torn. QEMU's own blklogwrites is not enough to
tell: it logs a write when it is done and flushes at once, so that a write beside a flush, or one during it, looks durable.
Here flushes take their time, as a disk's do, and so do answers to writes.
"""
import heapq
import os
import pathlib
import random
import select
import socket
import struct
import threading
import time

BLOCK = 512
SUPERBLOCK_END = 2048
WRITE, ANSWERED, FLUSH, FLUSHED = "write", "answered", "flush", "flushed"

# The NBD protocol: https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md
OPTION_MAGIC, REPLY_MAGIC, REQUEST_MAGIC, SIMPLE_REPLY_MAGIC = 0x49484156454F5054, 0x3E889045565A9, 0x25609513, 0x67446698
OPTION_EXPORT_NAME, OPTION_ABORT, OPTION_INFO, OPTION_GO = 1, 2, 6, 7
REPLY_ACK, REPLY_INFO, REPLY_UNSUPPORTED = 1, 3, 0x80000001
EXPORT_FLAGS = 1 | 4  # they count; flushes are wanted
COMMAND_READ, COMMAND_WRITE, COMMAND_DISCONNECT, COMMAND_FLUSH = range(4)


class Event:
    """Something that happened at the disk. `write` is the write's number, of WRITE and ANSWERED."""
    __slots__ = ("kind", "at", "write", "offset", "data", "covers")

    def __init__(self, kind, write=-1, offset=0, data=b"", covers=frozenset()):
        self.kind, self.at, self.write, self.offset, self.data, self.covers = kind, time.time(), write, offset, data, covers


class WriteLog:
    """What happened at a disk, in order. A cut at `position` comes before the event of that number."""

    def __init__(self):
        self.events, self.writes = [], 0
        self.undecided = []  # behind each event: writes that no finished flush covers
        self.answered = set()  # writes that were, and that no flush has covered yet

    def append(self, event, more_undecided=0):
        self.events.append(event)
        self.undecided.append((self.undecided[-1] if self.undecided else 0) + more_undecided)

    def write(self, offset, data):
        self.append(Event(WRITE, self.writes, offset, data), 1)
        self.writes += 1
        return self.writes - 1

    def answer(self, write):
        self.append(Event(ANSWERED, write))
        self.answered.add(write)

    def flush(self):
        """What it covers once it is done."""
        covers = frozenset(self.answered)
        self.append(Event(FLUSH))
        return covers

    def flushed(self, covers):
        self.append(Event(FLUSHED, covers=covers), -len(covers & self.answered))
        self.answered -= covers

    def split(self, position):
        """(writes that are durable at a cut there, writes that may be there or not), each in their order."""
        durable, begun = set(), []
        for event in self.events[:position]:
            if event.kind == WRITE:
                begun.append(event)
            elif event.kind == FLUSHED:
                durable |= event.covers
        return [one for one in begun if one.write in durable], [one for one in begun if one.write not in durable]

    def open_writes(self, position):
        """How many writes a cut there may have kept or not."""
        return self.undecided[position - 1] if position else 0

    def cut_time(self, position):
        """Until when the power was on, at a cut there: whoever was told something before it relies on it."""
        return self.events[position].at if position < len(self.events) else float("inf")


def torn(data, unit, chance):
    """The pieces of a write of which only some units reached the disk: (offset within, bytes)."""
    for at in range(0, len(data), unit):
        if chance.random() < 0.5:
            yield at, data[at:at + unit]


def left_by_cut(log, position, how, chance):
    """What a cut leaves of the writes: [(offset, bytes)] to be put on the disk in this order.

    `how`: "none" of what no flush covered, "all" of it, or "some": each write is there, is not, or is torn into blocks of
    512 or 4096 bytes; only the superblock is not, which ext4 itself does not survive.
    """
    durable, open_writes = log.split(position)
    kept = {one.write: [(one.offset, one.data)] for one in durable}
    for one in open_writes:
        fate = {"none": 0.99, "all": 0.0}.get(how, chance.random())
        if fate < 0.4:
            kept[one.write] = [(one.offset, one.data)]
        elif fate < 0.7:
            unit = chance.choice((512, 4096)) if one.offset >= SUPERBLOCK_END else 4096
            kept[one.write] = [(one.offset + at, piece) for at, piece in torn(one.data, unit, chance)]
    return [piece for write in sorted(kept) for piece in kept[write]], len(open_writes)


class LoggedDisk:
    """The image at `path`, served at a Unix socket to one client, until close(). `log` is whole once close() returned."""

    def __init__(self, path, address, seed):
        self.log, self.random, self.failure = WriteLog(), random.Random(seed), None
        self.size = pathlib.Path(path).stat().st_size
        self.image = os.open(path, os.O_RDWR)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(address))
        self.listener.listen(1)
        self.input, self.later, self.order = bytearray(), [], 0
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def close(self):
        """Call it when the client is gone: what it had sent by then has been written."""
        self.listener.shutdown(socket.SHUT_RDWR)  # wakes an accept that nobody came to
        self.thread.join(60)
        self.listener.close()
        if self.thread.is_alive():
            self.failure = self.failure or "the guest did not leave its disk"
        os.close(self.image)
        if self.failure:
            raise RuntimeError(f"the guest's disk: {self.failure}")

    def run(self):
        try:
            with self.listener.accept()[0] as connection:
                self.connection = connection
                if self.negotiate():
                    self.serve()
        except (OSError, EOFError):
            pass  # QEMU was killed: that is the cut. Did it never come, then the guest did not either, and its reader says so
        except Exception as reason:  # told by close()
            self.failure = repr(reason)

    def exactly(self, count):
        piece = bytearray()
        while len(piece) < count:
            more = self.connection.recv(count - len(piece))
            if not more:
                raise EOFError
            piece += more
        return bytes(piece)

    def negotiate(self):
        self.connection.sendall(b"NBDMAGIC" + struct.pack(">QH", OPTION_MAGIC, 1 | 2))
        self.exactly(4)
        while True:
            magic, option, length = struct.unpack(">QII", self.exactly(16))
            if magic != OPTION_MAGIC:
                raise ValueError(f"an option begins with {magic:x}")
            self.exactly(length)

            def reply(kind, data=b"", option=option):
                self.connection.sendall(struct.pack(">QIII", REPLY_MAGIC, option, kind, len(data)) + data)
            if option in (OPTION_GO, OPTION_INFO):
                reply(REPLY_INFO, struct.pack(">HQH", 0, self.size, EXPORT_FLAGS))
                reply(REPLY_INFO, struct.pack(">HIII", 3, BLOCK, 4096, 1 << 25))
                reply(REPLY_ACK)
                if option == OPTION_GO:
                    return True
            elif option == OPTION_EXPORT_NAME:
                self.connection.sendall(struct.pack(">QH", self.size, EXPORT_FLAGS))
                return True
            elif option == OPTION_ABORT:
                reply(REPLY_ACK)
                return False
            else:
                reply(REPLY_UNSUPPORTED)

    def serve(self):
        """One request after the other; answers leave when they are due."""
        while True:
            wait = max(0.0, self.later[0][0] - time.monotonic()) if self.later else None
            if select.select([self.connection], [], [], wait)[0]:
                piece = self.connection.recv(1 << 20)
                if not piece:
                    return
                self.input += piece
                while self.take_request():
                    pass
            while self.later and self.later[0][0] <= time.monotonic():
                _, _, handle, done = heapq.heappop(self.later)
                done()
                self.send(handle)

    def send(self, handle, data=b""):
        self.connection.setblocking(True)
        self.connection.sendall(struct.pack(">IIQ", SIMPLE_REPLY_MAGIC, 0, handle) + data)

    def after(self, seconds, handle, done):
        self.order += 1
        heapq.heappush(self.later, (time.monotonic() + seconds, self.order, handle, done))

    def take_request(self):
        """False: it is not there in whole yet."""
        if len(self.input) < 28:
            return False
        magic, _, command, handle, offset, length = struct.unpack_from(">IHHQQI", self.input)
        if magic != REQUEST_MAGIC:
            raise ValueError(f"a request begins with {magic:x}")
        payload = length if command == COMMAND_WRITE else 0
        if len(self.input) < 28 + payload:
            return False
        data = bytes(self.input[28:28 + payload])
        del self.input[:28 + payload]
        if command == COMMAND_READ:
            self.send(handle, os.pread(self.image, length, offset))
        elif command == COMMAND_WRITE:
            os.pwrite(self.image, data, offset)
            write = self.log.write(offset, data)
            self.after(self.random.uniform(0, 0.0004), handle, lambda: self.log.answer(write))
        elif command == COMMAND_FLUSH:
            covers = self.log.flush()
            self.after(self.random.choice((0.001, 0.004, 0.015, 0.040)), handle, lambda: self.log.flushed(covers))
        elif command == COMMAND_DISCONNECT:
            raise EOFError
        else:
            raise ValueError(f"request {command} was not offered")
        return True
