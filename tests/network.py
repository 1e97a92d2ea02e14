"""A network of each test process's own, and the ports in it.

Tests listen at fixed addresses and ports of loopback (port 25 of a name's address is where mail goes), and choose ports that must
still be free when a server binds them. Processes that test at the same time would take them from each other.
"""
import ctypes
import itertools
import os
import pathlib
import socket
import subprocess

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
LOWEST_PORT = 10_000
PROCESSES_MAX = 8  # that hand out ports in one network, where no process can have its own


class Network:
    """The network namespace that the calling thread, and all that it starts from now on, is in."""

    def __init__(self):
        self.machines = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        self.ports = None

    def make_own(self):
        """One with nothing but loopback. Where that is not allowed, the machine's stays."""
        if LIBC.unshare(CLONE_NEWNET) == 0:
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)

    def leave(self):
        """For a child between fork and exec: it is to have the machine's network."""
        if LIBC.setns(self.machines, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")

    def free_port(self):
        """A port of 127.0.0.1 that is free for TCP and UDP, below those that the kernel gives to who asks for any: no outgoing
        connection takes it before it is bound. Others that test have another share of them."""
        if self.ports is None:
            lowest_of_kernel = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
            share = (max(lowest_of_kernel, LOWEST_PORT + 100 * PROCESSES_MAX) - LOWEST_PORT) // PROCESSES_MAX
            number = os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")
            first = LOWEST_PORT + share * ((int(number) if number else os.getpid()) % PROCESSES_MAX)
            self.ports = itertools.cycle(range(first, first + share))
        return next(port for port in self.ports if is_free(port))


def is_free(port):
    try:
        with socket.create_server(("127.0.0.1", port)), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
            datagrams.bind(("127.0.0.1", port))
            return True
    except OSError:
        return False


NETWORK = Network()
free_port = NETWORK.free_port
