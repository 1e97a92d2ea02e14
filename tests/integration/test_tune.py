#!/usr/bin/python3
"""ringpostctl tune check, on made-up machines and on this one."""
import json
import subprocess

import pytest
from server import BUILD, PATIENCE_S

GOOD = {
    "proc/sys/kernel/osrelease": "6.12.9-amd64", "proc/sys/kernel/io_uring_disabled": "0",
    "proc/cpuinfo": "processor\t: 0\nflags\t\t: fpu aes pclmulqdq avx2 bmi2 adx sha_ni vaes\n",
    "sys/devices/system/clocksource/clocksource0/current_clocksource": "tsc",
    "proc/self/limits": "Limit  Soft Hard Units\nMax open files            1024                 65536                files\n"
                        "Max locked memory         unlimited            unlimited            bytes\n",
    "proc/sys/fs/file-max": "9223372036854775807", "proc/sys/net/core/somaxconn": "4096", "proc/sys/net/ipv4/tcp_max_syn_backlog": "4096",
    "proc/sys/net/ipv4/ip_local_port_range": "10240\t65535", "proc/swaps": "Filename Type Size Used Priority\n",
    "sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never",
    "proc/self/mountinfo": "1 0 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n2 1 259:2 / /srv rw,noatime shared:1 - xfs /dev/nvme0n1p2 rw\n"
                           "3 1 0:9 / /srvelse rw - tmpfs tmpfs rw\n",
    "sys/dev/block/259:2/queue/write_cache": "write back", "sys/dev/block/259:2/queue/rotational": "0",
    "sys/dev/block/259:2/queue/scheduler": "[none] mq-deadline",
    "sys/devices/system/cpu/online": "0-3", "sys/devices/system/cpu/isolated": "",
    **{f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list": f"{cpu % 2},{cpu % 2 + 2}" for cpu in range(4)},
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "performance",
    **{f"sys/class/net/eth0/{name}": "" for name in ("device/vendor", "queues/rx-0/rps_cpus", "queues/rx-1/rps_cpus")},
    "sys/class/net/lo/queues/rx-0/rps_cpus": "",
}
# name of the check, what the machine says instead, and a word of the advice
FAULTS = [
    ("kernel", "proc/sys/kernel/osrelease", "5.10.0-8", "6.1 or later"),
    ("io_uring", "proc/sys/kernel/io_uring_disabled", "2", "io_uring_disabled = 0"),
    ("processor", "proc/cpuinfo", "flags\t\t: fpu avx2\n", "AES"),
    ("clock", "sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet", "tsc"),
    ("open files", "proc/self/limits", "Max open files 1024 4096 files\nMax locked memory unlimited unlimited bytes\n", "11,000"),
    ("locked memory", "proc/self/limits", "Max open files 1 65536 files\nMax locked memory 8388608 8388608 bytes\n", "LimitMEMLOCK"),
    ("file-max", "proc/sys/fs/file-max", "10000", "fs.file-max = 22000"),
    ("somaxconn", "proc/sys/net/core/somaxconn", "128", "net.core.somaxconn"),
    ("SYN backlog", "proc/sys/net/ipv4/tcp_max_syn_backlog", "128", "tcp_max_syn_backlog"),
    ("local ports", "proc/sys/net/ipv4/ip_local_port_range", "32768\t40000", "ip_local_port_range"),
    ("swap", "proc/swaps", "Filename Type\n/dev/sda2 partition 1 2 3\n", "encrypted"),
    ("huge pages", "sys/kernel/mm/transparent_hugepage/enabled", "[always] madvise never", "madvise"),
    ("spool's file system", "proc/self/mountinfo", "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 0:44 / /srv rw - nfs host:/srv rw\n", "ext4 or xfs"),
    ("access times", "proc/self/mountinfo", "2 1 259:2 / /srv rw,strictatime - xfs /dev/nvme0n1p2 rw\n", "noatime"),
    ("disk", "sys/dev/block/259:2/queue/rotational", "1", "solid state"),
    ("I/O scheduler", "sys/dev/block/259:2/queue/scheduler", "mq-deadline [bfq] none", "none"),
    ("cores", "sys/devices/system/cpu/cpu1/topology/thread_siblings_list", "0-3", "shards = 1"),
    ("frequency", "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave", "performance"),
]


@pytest.fixture
def check(tmp_path):
    def run(changes=None, config="shards = 2\nspool.directory = /srv/spool\n", code=None):
        root = tmp_path / "machine"
        for name, content in {**GOOD, **(changes or {})}.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content + "\n" if "\n" not in content else content)
        (tmp_path / "ringpost.conf").write_text(config)
        done = subprocess.run([BUILD / "ringpostctl", "-c", tmp_path / "ringpost.conf", "tune", "check", "--json", "--root", root],
                              capture_output=True, text=True, timeout=PATIENCE_S)
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        return {line["check"]: line for line in map(json.loads, done.stdout.splitlines())}
    return run


def test_a_machine_as_it_should_be(check):
    findings = check(code=0)
    assert all(line["good"] and not line["wanted"] for line in findings.values())
    assert {name for name, *_ in FAULTS} <= set(findings)
    assert findings["cores"]["found"] == "0-3 (2 cores)" and findings["queues of eth0"]["found"] == "2" and "queues of lo" not in findings
    assert findings["spool's file system"]["found"] == "xfs at /srv"


@pytest.mark.parametrize("name, path, content, advice", FAULTS, ids=[fault[0] for fault in FAULTS])
def test_each_fault_has_its_advice(check, name, path, content, advice):
    findings = check({path: content}, code=1)
    assert not findings[name]["good"] and advice in findings[name]["wanted"]


def test_more_shards_want_more_queues(check):
    assert "ethtool -L eth0 combined N" in check(config="shards = 4\nspool.directory = /srv/spool\n", code=1)["queues of eth0"]["wanted"]


def test_this_machine():
    done = subprocess.run([BUILD / "ringpostctl", "-c", "/dev/null", "tune", "check"], capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode in (0, 1) and "somaxconn" in done.stdout, done.stderr
    assert ("wanted:" in done.stdout) == (done.returncode == 1)


def test_no_machine(tmp_path):
    done = subprocess.run([BUILD / "ringpostctl", "-c", "/dev/null", "tune", "check", "--root", tmp_path], capture_output=True, text=True,
                          timeout=PATIENCE_S)
    assert done.returncode == 2 and "nothing to look at" in done.stderr


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
