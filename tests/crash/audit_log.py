"""Reads ringpost-auditd's files as docs/formats/audit-log.md says, and checks what they promise."""
import collections
import json
import pathlib


def counted_lines(directory):
    """(file, line) of every line that counts: a file behind another says how much of that one does."""
    files = {int(path.name[6:-6]): path.read_bytes() for path in sorted(pathlib.Path(directory).glob("audit-*.jsonl"))}
    counts = {}
    for text in files.values():
        for line in text.split(b"\n"):
            if not line.startswith(b'{"marks":') or line.startswith(b'{"marks":"end"'):
                break
            entry = json.loads(line)
            if entry["marks"] == "counts":
                counts[entry["file"]] = entry["bytes"]
    for number, text in files.items():
        text = text[:counts.get(number, text.rfind(b"\n") + 1)]
        if text and not text.endswith(b"\n"):
            raise ValueError(f"file {number} counts up to the middle of a line")
        for line in text.splitlines():
            if not line.startswith(b'{"marks":'):
                yield number, line


class AuditLog:
    def __init__(self, directory):
        self.problems, self.gaps = [], []
        self.accepted, self.delivered = collections.Counter(), collections.Counter()
        self.events = collections.Counter()
        seen = collections.defaultdict(list)
        for number, line in counted_lines(directory):
            event = json.loads(line)
            seen[event["incarnation"]].append(event["sequence"])
            self.events[event["event"]] += 1
            if event["event"] == "message_accepted":
                self.accepted[event["message"]] += 1
            elif event["event"] == "recipient_delivered":
                self.delivered[event["message"], event["recipient"]] += 1
            elif event["event"] == "audit_gap":
                self.gaps.append(event)
        for incarnation, sequences in seen.items():
            if sequences != list(range(1, len(sequences) + 1)):
                wrong = next(i for i, sequence in enumerate(sequences) if sequence != i + 1)
                self.problems.append(f"incarnation {incarnation}: {len(sequences)} events, but at place {wrong + 1} stands {sequences[wrong]}")
        self.incarnations = len(seen)
        self.problems += [f"audit_gap: {gap}" for gap in self.gaps]
        self.problems += [f"message {message} was accepted {times} times" for message, times in self.accepted.items() if times != 1]
        self.problems += [f"{key} was delivered {times} times" for key, times in self.delivered.items() if times != 1]
