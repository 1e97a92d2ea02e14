"""What a core of a process would hold, read by root while it runs."""
import re


PIECE = 1 << 20
ZEROS = bytes(PIECE)
OVERLAP = 256  # more than any form that is looked for


def picture(pid):
    """Yields, in pieces, each mapping that the kernel would dump: all that can be read, but what is marked VM_DONTDUMP ("dd"). What is zero
    is left out."""
    with open(f"/proc/{pid}/smaps") as smaps, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        begin = end = None
        readable = False
        for line in smaps:
            if mapping := re.match(r"([0-9a-f]+)-([0-9a-f]+) (....) \S+ \S+ \S+\s*(.*)", line):
                begin, end = int(mapping[1], 16), int(mapping[2], 16)
                readable = mapping[3][0] == "r" and mapping[4] not in ("[vvar]", "[vsyscall]", "[vvar_vclock]")
            elif line.startswith("Rss:"):
                readable = readable and line.split()[1] != "0"
            elif line.startswith("VmFlags:") and readable and "dd" not in line.split():
                before = b""
                for at in range(begin, end, PIECE):
                    memory.seek(at)
                    try:
                        piece = memory.read(min(end - at, PIECE))
                    except OSError:  # a file's mapping behind its end
                        break
                    if piece != ZEROS[:len(piece)]:
                        yield before + piece
                    before = piece[-OVERLAP:]


def found(pid, forms):
    """Those of `forms` that a core would hold."""
    left = set(forms)
    for piece in picture(pid):
        left -= {form for form in left if form in piece}
    return set(forms) - left


def pieces(secret):
    """Beginning, middle and end: what was overwritten in part is found all the same."""
    size = 12
    middle = (len(secret) - size) // 2
    return {secret[:size], secret[middle:middle + size], secret[-size:]}


def makes_no_core(pid):
    """No core, for its limit; and not dumpable: what /proc shows of it is root's."""
    import os
    limits = open(f"/proc/{pid}/limits").read()
    core = re.search(r"^Max core file size\s+(\S+)\s+(\S+)", limits, re.M)
    owner = os.stat(f"/proc/{pid}").st_uid, os.stat(f"/proc/{pid}/mem").st_uid
    return core[1] == core[2] == "0" and owner[1] == 0
