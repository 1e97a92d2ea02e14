#!/usr/bin/python3
"""A filesystem that hands everything to a folder of another one, and fails when told to: the fault layer below the real ring.

    fault_fs.py FOLDER MOUNTPOINT      then a line of JSON on standard input for each change, answered by one on standard output

A line is a list of rules, which replace those before: {"op": .., "path": .., "kind": .., "rate": .., "times": ..}
  op     write, fsync, read, open, create, rename, unlink
  path   part of the path below the mount point; "" is every one
  kind   "EIO" or any other errno's name; "short": a write takes, a read gives, fewer bytes than asked for (at least 512). The
         kernel tries to get the rest by itself, so the next three calls of that kind on that file fail. For files opened with
         O_DIRECT alone: to the kernel's page cache less than asked for is the end of the file
  rate   0..1; 1 when it is missing. times: how often at most; without it there is no end
An fsync that fails also takes back about half of what was written to the file since its last good one: that is what a failed
sync means. The answer says how often each fault struck: {"write EIO": 3, ..}.

It speaks the kernel's protocol itself (linux/fuse.h, version 7.31), so that nothing needs to be installed; mounting needs root.
"""
import collections
import ctypes
import errno
import json
import os
import pathlib
import random
import select
import signal
import stat
import struct
import subprocess
import sys

ROOT = 1
WRITE_MAX = 1 << 20
FAILURES_BEHIND_SHORT = 3
# opcodes
LOOKUP, FORGET, GETATTR, SETATTR, MKDIR, UNLINK, RMDIR, RENAME = 1, 2, 3, 4, 9, 10, 11, 12
OPEN, READ, WRITE, STATFS, RELEASE, FSYNC, FLUSH, INIT = 14, 15, 16, 17, 18, 20, 25, 26
OPENDIR, READDIR, RELEASEDIR, FSYNCDIR, CREATE = 27, 28, 29, 30, 35
INTERRUPT, DESTROY, BATCH_FORGET, FALLOCATE, RENAME2 = 36, 38, 42, 43, 45
IN_HEADER, OUT_HEADER = struct.Struct("<IIQQIIIHH"), struct.Struct("<IiQ")
ATTRIBUTES = struct.Struct("<6Q10I")
BIG_WRITES, ATOMIC_O_TRUNC, MAX_PAGES = 1 << 5, 1 << 3, 1 << 22


LIBC = ctypes.CDLL(None, use_errno=True)
DETACH = 2  # MNT_DETACH


class Refusal(Exception):
    def __init__(self, number):
        super().__init__(os.strerror(number))
        self.number = number


class Node:
    """An inode that the kernel knows. `path`: where it was seen last, for the rules."""

    def __init__(self, fd, path):
        self.fd, self.path, self.lookups, self.unsynced = fd, path, 0, []
        self.failures_due = collections.Counter()

    @property
    def way(self):
        return f"/proc/self/fd/{self.fd}"


class FaultFilesystem:
    def __init__(self, folder, mountpoint):
        self.device = os.open("/dev/fuse", os.O_RDWR)
        options = f"fd={self.device},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions"
        if LIBC.mount(b"ringpost-faults", os.fsencode(mountpoint), b"fuse", 0, options.encode()) != 0:
            raise OSError(ctypes.get_errno(), f"mounting at {mountpoint}")
        root = Node(os.open(folder, os.O_PATH), "")
        self.nodes, self.numbers = {ROOT: root}, {self.identity(root.fd): ROOT}
        self.next_node, self.files, self.next_file = ROOT + 1, {}, 1
        self.rules, self.struck, self.random = [], collections.Counter(), random.Random()
        self.calls = {LOOKUP: self.lookup, GETATTR: self.getattr, SETATTR: self.setattr, MKDIR: self.mkdir, UNLINK: self.unlink,
                      RMDIR: self.rmdir, RENAME: self.rename, RENAME2: self.rename2, OPEN: self.open, OPENDIR: self.opendir,
                      READ: self.read, WRITE: self.write, STATFS: self.statfs, RELEASE: self.release, RELEASEDIR: self.release,
                      FSYNC: self.fsync, FSYNCDIR: self.nothing, FLUSH: self.nothing, INIT: self.init, READDIR: self.readdir,
                      CREATE: self.create, FALLOCATE: self.fallocate}

    # ---- faults

    def strikes(self, op, path):
        """The kind of fault that this call is to suffer, or None."""
        for rule in self.rules:
            if rule["op"] != op or rule.get("path", "") not in path or self.random.random() >= rule.get("rate", 1):
                continue
            if "times" in rule:
                if rule["times"] <= 0:
                    continue
                rule["times"] -= 1
            self.struck[f"{op} {rule['kind']}"] += 1
            return rule["kind"]
        return None

    def may_fail(self, op, path):
        if kind := self.strikes(op, path):
            raise Refusal(getattr(errno, kind))

    def shortened(self, op, node, size):
        """How many bytes of a read or write are done, or its failure."""
        if node.failures_due[op] > 0:
            node.failures_due[op] -= 1
            raise Refusal(errno.EIO)
        kind = self.strikes(op, node.path)
        if kind == "short" and size > 512:
            node.failures_due[op] = FAILURES_BEHIND_SHORT
            return self.random.randrange(512, size, 512)
        if kind and kind != "short":
            raise Refusal(getattr(errno, kind))
        return size

    def take_back(self, node, file):
        """What no sync had made durable yet is there or not, when a sync fails."""
        for offset, before, length in reversed(node.unsynced):
            if self.random.random() < 0.5:
                os.pwrite(file, before + bytes(length - len(before)), offset)
        node.unsynced.clear()

    # ---- the kernel's requests

    def serve(self):
        """Until it is unmounted, or standard input ends."""
        while True:
            ready = select.select([self.device, 0], [], [])[0]
            if 0 in ready:
                line = sys.stdin.buffer.readline()
                if not line:
                    return
                self.rules = json.loads(line)
                for node in self.nodes.values():
                    node.failures_due.clear()
                print(json.dumps(self.struck), flush=True)
            if self.device in ready:
                try:
                    request = os.read(self.device, WRITE_MAX + 4096)
                except OSError as reason:
                    if reason.errno == errno.ENODEV:
                        return
                    if reason.errno in (errno.ENOENT, errno.EINTR, errno.EAGAIN):
                        continue
                    raise
                self.request(request)

    def request(self, request):
        length, opcode, unique, node, uid, gid, _, _, _ = IN_HEADER.unpack_from(request)
        body = memoryview(request)[IN_HEADER.size:length]
        if opcode in (FORGET, BATCH_FORGET):
            return self.forget(opcode, node, body)
        if opcode in (INTERRUPT, DESTROY):
            return None
        error, answer = 0, b""
        try:
            if opcode not in self.calls:
                raise Refusal(errno.ENOSYS)
            self.owner = uid, gid
            answer = self.calls[opcode](node, body) or b""
        except Refusal as refusal:
            error = refusal.number
        except OSError as reason:
            error = reason.errno or errno.EIO
        answer = b"" if error else answer
        os.write(self.device, OUT_HEADER.pack(OUT_HEADER.size + len(answer), -error, unique) + answer)
        return None

    def init(self, _, body):
        major, minor, readahead, flags = struct.unpack_from("<4I", body)
        wanted = flags & (BIG_WRITES | ATOMIC_O_TRUNC | MAX_PAGES)
        return struct.pack("<4IHHIIHHI28x", 7, 31, readahead, wanted, 64, 48, WRITE_MAX, 1, WRITE_MAX // 4096, 0, 0)

    @staticmethod
    def identity(fd):
        found = os.fstat(fd)
        return found.st_dev, found.st_ino

    @staticmethod
    def attributes(found):
        times = (found.st_atime_ns, found.st_mtime_ns, found.st_ctime_ns)
        return ATTRIBUTES.pack(found.st_ino, found.st_size, found.st_blocks, *(one // 10**9 for one in times),
                               *(one % 10**9 for one in times), found.st_mode, found.st_nlink, found.st_uid, found.st_gid, 0, 4096, 0)

    def name_in(self, body):
        return bytes(body).split(b"\0")[0]

    def path_of(self, parent, name):
        return f"{self.nodes[parent].path}/{name.decode()}"

    def entry(self, parent, name):
        fd = os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=self.nodes[parent].fd)
        number = self.numbers.get(self.identity(fd))
        if number:
            os.close(fd)
        else:
            number, self.next_node = self.next_node, self.next_node + 1
            self.nodes[number] = Node(fd, "")
            self.numbers[self.identity(fd)] = number
        node = self.nodes[number]
        node.path, node.lookups = self.path_of(parent, name), node.lookups + 1
        # Names and attributes are asked for each time: nothing that the layer did behind the kernel's back stays hidden.
        return struct.pack("<4QII", number, 0, 0, 0, 0, 0) + self.attributes(os.fstat(node.fd))

    def forget(self, opcode, node, body):
        pairs = [(node, struct.unpack_from("<Q", body)[0])]
        if opcode == BATCH_FORGET:
            pairs = [struct.unpack_from("<QQ", body, 8 + 16 * i) for i in range(struct.unpack_from("<I", body)[0])]
        for number, count in pairs:
            known = self.nodes.get(number)
            if not known or number == ROOT:
                continue
            known.lookups -= count
            if known.lookups <= 0:
                del self.numbers[self.identity(known.fd)], self.nodes[number]
                os.close(known.fd)

    def lookup(self, parent, body):
        return self.entry(parent, self.name_in(body))

    def getattr(self, node, _):
        return struct.pack("<QII", 0, 0, 0) + self.attributes(os.fstat(self.nodes[node].fd))

    def setattr(self, node, body):
        valid, _, _, size, _, atime, mtime, _, atimensec, mtimensec, _, mode, _, uid, gid = struct.unpack_from("<II6Q7I", body)
        way = self.nodes[node].way
        if valid & 1:
            os.chmod(way, stat.S_IMODE(mode))
        if valid & 6:
            os.chown(way, uid if valid & 2 else -1, gid if valid & 4 else -1)
        if valid & 8:
            os.truncate(way, size)
        if valid & 0x30 == 0x30 and not valid & 0x180:
            os.utime(way, ns=(atime * 10**9 + atimensec, mtime * 10**9 + mtimensec))
        elif valid & 0x1B0:
            os.utime(way)
        return self.getattr(node, b"")

    def mkdir(self, parent, body):
        mode, _ = struct.unpack_from("<II", body)
        name = self.name_in(body[8:])
        os.mkdir(name, mode, dir_fd=self.nodes[parent].fd)
        os.chown(name, *self.owner, dir_fd=self.nodes[parent].fd)
        return self.entry(parent, name)

    def unlink(self, parent, body):
        name = self.name_in(body)
        self.may_fail("unlink", self.path_of(parent, name))
        os.unlink(name, dir_fd=self.nodes[parent].fd)

    def rmdir(self, parent, body):
        os.rmdir(self.name_in(body), dir_fd=self.nodes[parent].fd)

    def rename(self, parent, body):
        self.move(parent, struct.unpack_from("<Q", body)[0], body[8:])

    def rename2(self, parent, body):
        target, flags = struct.unpack_from("<QI", body)
        if flags:
            raise Refusal(errno.EINVAL)
        self.move(parent, target, body[16:])

    def move(self, parent, target, names):
        old, new = bytes(names).split(b"\0")[:2]
        self.may_fail("rename", self.path_of(target, new))
        os.rename(old, new, src_dir_fd=self.nodes[parent].fd, dst_dir_fd=self.nodes[target].fd)
        os.close(os.open(new, os.O_PATH | os.O_NOFOLLOW, dir_fd=self.nodes[target].fd))

    def keep(self, fd):
        number, self.next_file = self.next_file, self.next_file + 1
        self.files[number] = fd
        return struct.pack("<QII", number, 0, 0)

    def open(self, node, body):
        flags = struct.unpack_from("<I", body)[0]
        self.may_fail("open", self.nodes[node].path)
        return self.keep(os.open(self.nodes[node].way, self.plain(flags)))

    @staticmethod
    def plain(flags):
        """Memory that O_DIRECT could take is not to be had here; and appending is the kernel's part."""
        flags &= ~(os.O_DIRECT | os.O_NOFOLLOW | os.O_CREAT | os.O_EXCL | os.O_APPEND)
        return flags & ~os.O_ACCMODE | os.O_RDWR if flags & os.O_ACCMODE == os.O_WRONLY else flags

    def create(self, parent, body):
        flags, mode = struct.unpack_from("<II", body)
        name = self.name_in(body[16:])
        self.may_fail("create", self.path_of(parent, name))
        fd = os.open(name, self.plain(flags) | os.O_CREAT | flags & os.O_EXCL, mode, dir_fd=self.nodes[parent].fd)
        os.fchown(fd, *self.owner)
        return self.entry(parent, name) + self.keep(fd)

    def read(self, node, body):
        file, offset, size = struct.unpack_from("<QQI", body)
        return os.pread(self.files[file], self.shortened("read", self.nodes[node], size), offset)

    def write(self, node, body):
        file, offset, size = struct.unpack_from("<QQI", body)
        size = self.shortened("write", self.nodes[node], size)
        self.nodes[node].unsynced.append((offset, os.pread(self.files[file], size, offset), size))
        return struct.pack("<II", os.pwrite(self.files[file], body[40:40 + size], offset), 0)

    def fsync(self, node, body):
        known = self.nodes[node]
        kind = self.strikes("fsync", known.path)
        if kind:
            self.take_back(known, self.files[struct.unpack_from("<Q", body)[0]])
            raise Refusal(getattr(errno, kind))
        known.unsynced.clear()

    def fallocate(self, node, body):
        file, offset, length, mode = struct.unpack_from("<QQQI", body)
        if mode:
            raise Refusal(errno.EOPNOTSUPP)
        self.may_fail("fallocate", self.nodes[node].path)
        os.posix_fallocate(self.files[file], offset, length)

    def statfs(self, node, _):
        found = os.statvfs(self.nodes[node].way)
        return struct.pack("<5Q4I24x", found.f_blocks, found.f_bfree, found.f_bavail, found.f_files, found.f_ffree, found.f_bsize,
                           255, found.f_frsize, 0)

    def opendir(self, node, _):
        return self.keep(os.open(self.nodes[node].way, os.O_RDONLY | os.O_DIRECTORY))

    def readdir(self, _, body):
        file, offset, size = struct.unpack_from("<QQI", body)
        answer = b""
        for number, name in list(enumerate([".", "..", *sorted(os.listdir(self.files[file]))], 1))[offset:]:
            raw = os.fsencode(name)
            piece = struct.pack("<QQII", 1 << 40, number, len(raw), 0) + raw
            piece += bytes(-len(piece) % 8)
            if len(answer) + len(piece) > size:
                break
            answer += piece
        return answer

    def release(self, _, body):
        os.close(self.files.pop(struct.unpack_from("<Q", body)[0]))

    def nothing(self, _node, _body):
        return b""


class Faults:
    """A FaultFilesystem in a process of its own, mounted at `mountpoint`, for as long as this is open."""

    def __init__(self, folder, mountpoint):
        for one in (folder, mountpoint):
            pathlib.Path(one).mkdir(exist_ok=True)
        self.process = subprocess.Popen([sys.executable, "-B", __file__, folder, mountpoint], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.set([])

    def set(self, rules):
        """Returns how often each fault struck so far."""
        print(json.dumps(rules), file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError("the fault layer ended")
        return json.loads(answer)

    def close(self):
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()


def why_not():
    if os.geteuid() != 0:
        return "only root can mount the fault layer"
    return "" if os.path.exists("/dev/fuse") else "there is no /dev/fuse"


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it ends with whoever holds its standard input
    filesystem = FaultFilesystem(*sys.argv[1:3])
    try:
        filesystem.serve()
    finally:
        LIBC.umount2(os.fsencode(sys.argv[2]), DETACH)
