"""A small Linux guest that boots in seconds, runs the real Ringpost on a disk of the test's, and can lose its power at any moment."""
import ctypes
import grp
import lzma
import os
import pathlib
import pwd
import re
import shutil
import signal
import stat
import subprocess

from server import Broken, configuration, wait_until

TOOLS = pathlib.Path(__file__).resolve().parents[2] / "tools"
PROGRAMS = ("ringpostd", "ringpost-keyd", "ringpost-auditd", "ringpost-helperd")
USERS = ("ringpost", "ringpost-key", "ringpost-audit", "ringpost-helper")
MODULES = ("virtio_pci", "virtio_blk", "virtio_net", "crc32c_generic", "ext4")
# Some hosts' /dev/kvm takes only kernels made for it. QEMU's own emulation boots anything, and is fast enough for this.
ACCELERATORS = {"kvm": ("-accel", "kvm", "-cpu", "host,-arch-capabilities"), "tcg": ("-accel", "tcg,thread=multi", "-cpu", "max")}
KVM_PATIENCE_S = 15
SMTP_PORT = 2525
HOST = "10.0.2.2"  # as the guest sees this machine's loopback
MEMORY_MB = 512

INIT = """#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
for module in {modules}; do insmod /modules/$module.ko; done
ip link set lo up
ip link set eth0 up
ip address add 10.0.2.15/24 dev eth0
ip route add default via {host}
mount -t ext4 /dev/vda /data || {{ echo "guest: the disk cannot be mounted"; poweroff -f; }}
grep -q ringpost.direct=no /proc/cmdline && echo "spool.direct = no" >> /ringpost.conf
ulimit -l unlimited
ulimit -n 65536
echo "guest: ready"
/ringpost/ringpostd -c /ringpost.conf
echo "guest: ringpostd ended with $?"
poweroff -f
"""


def tools(fetch=True):
    """{name: path} of what tools/test-guest knows. Raises Broken, with the reason, when something is missing."""
    run = subprocess.run([TOOLS / "test-guest", *([] if fetch else ["--if-there"])], capture_output=True, text=True)
    if run.returncode != 0:
        raise Broken(run.stderr.strip().splitlines()[-1] if run.stderr.strip() else "tools/test-guest failed")
    return {name: pathlib.Path(path) for name, path in (line.split("=", 1) for line in run.stdout.splitlines())}


def why_not():
    """Why no guest can run here, whatever was fetched; or an empty string."""
    if os.geteuid() != 0:
        return "only root can mount the guest's disk"
    if not os.path.exists("/dev/loop-control"):
        return "there are no loop devices"
    return ""


class Archive:
    """An initramfs in the kernel's "newc" cpio format (Documentation/driver-api/early-userspace/buffer-format.rst)."""

    def __init__(self, path):
        self.file, self.number, self.seen = open(path, "wb"), 0, set()

    def entry(self, name, mode, data=b""):
        self.number += 1
        name = name.encode() + b"\0"
        fields = (self.number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0)
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + name
        self.file.write(head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4))

    def folder(self, name):
        for one in (*reversed(pathlib.PurePath(name).parents), pathlib.PurePath(name)):
            if str(one) not in {".", "/"} | self.seen:
                self.seen.add(str(one))
                self.entry(str(one).lstrip("/"), stat.S_IFDIR | 0o755)

    def add(self, name, data, mode=0o644):
        self.folder(pathlib.PurePath(name).parent)
        if str(name) not in self.seen:
            self.seen.add(str(name))
            self.entry(str(name).lstrip("/"), stat.S_IFREG | mode, data)

    def link(self, name, target):
        self.folder(pathlib.PurePath(name).parent)
        self.entry(str(name).lstrip("/"), stat.S_IFLNK | 0o777, target.encode())

    def close(self):
        self.entry("TRAILER!!!", 0)
        self.file.close()


def module_files(folder):
    """[(name, contents)] of MODULES and what they need, those first; what is built into the kernel is left out."""
    there = {re.sub(r"\.ko.*", "", path.name).replace("-", "_"): path for path in pathlib.Path(folder).rglob("*.ko*")}
    found = {}

    def need(name):
        if name in found or name not in there:
            return
        data = there[name].read_bytes()
        data = lzma.decompress(data) if there[name].suffix == ".xz" else data
        listed = re.search(rb"\0depends=([^\0]*)\0", data)
        for other in listed[1].decode().split(",") if listed and listed[1] else []:
            need(other.replace("-", "_"))
        found[name] = data
    for name in MODULES:
        need(name)
    return list(found.items())


def libraries(program):
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"(/\S+) \(0x", listed))


def without_symbols(program, folder):
    """A tenth of the size, and a guest that boots the sooner."""
    small = pathlib.Path(folder) / f"{program.name}.small"
    subprocess.run(["llvm-strip-19", "-o", small, program], check=True)
    data = small.read_bytes()
    small.unlink()
    return data


def make_initramfs(path, known, build, sink_port, server="ringpostd"):
    """`server`: another ringpostd, as a path below `build`."""
    build, archive = pathlib.Path(build), Archive(path)
    for name in ("proc", "sys", "dev", "data", "tmp", "run", "var/lib/ringpost"):
        archive.folder(f"/{name}")
    archive.add("/bin/busybox", known["busybox"].read_bytes(), 0o755)
    for name in ("sh", "mount", "insmod", "ip", "poweroff", "grep"):
        archive.link(f"/bin/{name}", "busybox")
    modules = module_files(known["modules"])
    for name, data in modules:
        archive.add(f"/modules/{name}.ko", data)
    for name in PROGRAMS:
        program = build / (server if name == "ringpostd" else name)
        archive.add(f"/ringpost/{name}", without_symbols(program, pathlib.Path(path).parent), 0o755)
        for library in libraries(program):
            archive.add(library, pathlib.Path(library).read_bytes(), 0o755)
    # The numbers are this machine's: the disk is looked at here.
    users, groups = ["root:x:0:0::/:/bin/sh"], ["root:x:0:"]
    for name in USERS:
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        users.append(f"{name}:x:{user.pw_uid}:{user.pw_gid}::/nonexistent:/bin/false")
        groups.append(f"{grp.getgrgid(user.pw_gid).gr_name}:x:{user.pw_gid}:")
    archive.add("/etc/passwd", ("\n".join(users) + "\n").encode())
    archive.add("/etc/group", ("\n".join(groups) + "\n").encode())
    archive.add("/etc/nsswitch.conf", b"passwd: files\ngroup: files\n")
    settings = configuration("/data", f"0.0.0.0:{SMTP_PORT}", f"{HOST}:{sink_port}")
    archive.add("/ringpost.conf", (settings + "shards = 2\n").encode())
    archive.add("/init", INIT.format(modules=" ".join(name for name, _ in modules), host=HOST).encode(), 0o755)
    archive.close()


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class Guest:
    """A running guest. Its SMTP port is `port` on this machine's loopback."""

    def __init__(self, known, accelerator, initramfs, console, disk_socket=None, port=0, direct=True):
        self.console = pathlib.Path(console)
        words = [known["qemu"], *ACCELERATORS[accelerator], "-M", "q35", "-m", str(MEMORY_MB), "-smp", "2", "-nodefaults",
                 "-no-user-config", "-display", "none", "-no-reboot", "-serial", f"file:{console}",
                 "-kernel", known["kernel"], "-initrd", initramfs, "-append",
                 f"console=ttyS0 quiet panic=-1 mitigations=off tsc=reliable ringpost.direct={'yes' if direct else 'no'}",
                 "-netdev", f"user,id=net,hostfwd=tcp:127.0.0.1:{port}-:{SMTP_PORT}", "-device", "virtio-net-pci,netdev=net,romfile=",
                 "-device", "virtio-rng-pci"]
        if disk_socket:
            words += ["-blockdev", f"driver=nbd,node-name=disk,server.type=unix,server.path={disk_socket}",
                      "-device", "virtio-blk-pci,drive=disk,write-cache=on"]
        self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=self.console.with_suffix(".qemu").open("wb"), preexec_fn=die_with_parent)

    def said(self):
        said = self.console.read_text(errors="replace") if self.console.exists() else ""
        return said + self.console.with_suffix(".qemu").read_text(errors="replace")

    def must_run(self):
        """The server in it has not ended, nor the guest."""
        if self.process.poll() is not None or "guest: ringpostd ended" in self.said():
            raise Broken(f"the guest or its server ended by itself:\n{self.said()[-3000:]}")

    def cut_power(self):
        self.process.kill()
        self.process.wait()


def best_accelerator(known, initramfs, folder):
    """"kvm" where a guest boots with it, otherwise "tcg"."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    guest = Guest(known, "kvm", initramfs, pathlib.Path(folder) / "probe")  # without a disk it says so, and ends
    try:
        guest.process.wait(KVM_PATIENCE_S)
    except subprocess.TimeoutExpired:
        pass
    guest.cut_power()
    return "kvm" if "guest: " in guest.said() else "tcg"


class Mounted:
    """The ext4 image at `image`, mounted at `where` while this is open. Mounting replays its journal, as a boot does."""

    def __init__(self, image, where):
        self.image, self.where = image, pathlib.Path(where)

    def __enter__(self):
        self.where.mkdir(exist_ok=True)
        run = subprocess.run(["mount", "-t", "ext4", "-o", "loop", self.image, self.where], capture_output=True, text=True)
        if run.returncode != 0:
            raise Broken(f"the disk cannot be mounted: {run.stderr}")
        return self.where

    def __exit__(self, *_):
        # Processes that were killed may not have left it yet.
        wait_until(f"the unmounting of {self.where}",
                   lambda: subprocess.run(["umount", self.where], capture_output=True).returncode == 0)


def make_disk(path, megabytes):
    """An empty filesystem, everything about it written now, so that no write of the guest's comes from its making."""
    with open(path, "wb") as image:
        image.truncate(megabytes << 20)
    subprocess.run([shutil.which("mke2fs", path=os.environ["PATH"] + ":/usr/sbin:/sbin"), "-q", "-F", "-t", "ext4", "-E",
                    "lazy_itable_init=0,lazy_journal_init=0", path], check=True)
