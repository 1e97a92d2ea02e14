"""Reports that come in: what classify_notice makes of the corpus, against what other readers find in the same messages. Machine-readable
ones are judged by their fields, read here with Python's email; those for people by what python3-flufl.bounce finds."""
import collections
import email
import json
import os
import pathlib
import re
import subprocess

import pytest

PROGRAM = os.environ.get("RINGPOST_CLASSIFY_NOTICES") or str(
    pathlib.Path(os.environ.get("RINGPOST_BUILD", "build")) / "tests/integration/classify-notices")
FAILURES = {"hard", "soft", "block"}
LEAST = 0.95


@pytest.fixture(scope="module")
def corpus():
    root = os.environ.get("RINGPOST_CORPUS")
    if not root:
        pytest.skip("RINGPOST_CORPUS is not set")
    folder = pathlib.Path(root) / "dsn-arf"
    assert folder.is_dir(), f"RINGPOST_CORPUS names {root}, which has no dsn-arf"
    return sorted(path for path in folder.rglob("*") if path.is_file() and "LICENSES" not in path.parts
                  and path.name not in ("SOURCE.md", "MANIFEST.tsv") and path.suffix != ".json")


@pytest.fixture(scope="module")
def judged(corpus):
    done = subprocess.run([PROGRAM], input="".join(f"{path}\n" for path in corpus).encode(), capture_output=True, check=True)
    verdicts = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(verdicts) == len(corpus)
    return list(zip(corpus, verdicts))


def message_of(path):
    raw = path.read_bytes()
    return email.message_from_bytes(raw if b"\n" in raw else raw.replace(b"\r", b"\n"))


def groups_of(message):
    """Action, status and words of each recipient in the delivery status, if there is one."""
    found = []
    for part in message.walk():
        if part.get_content_type() not in ("message/delivery-status", "message/global-delivery-status"):
            continue
        for block in part.get_payload() if part.is_multipart() else []:
            if block.get("Action") or block.get("Status"):
                found.append((str(block.get("Action", "")).lower(), str(block.get("Status", "")), str(block.get("Diagnostic-Code", ""))))
    return found


def meaning(action, status, words):
    """The answers that are right for one recipient."""
    code = re.search(r"([245])\.(\d+)\.(\d+)", status)
    better = re.search(r"\b([245])\.(\d+)\.(\d+)\b", words)
    generic = not code or code.group(2, 3) == ("0", "0") or code.group(2, 3) in (("3", "0"), ("5", "0"))
    if generic and better and (not code or better[1] == code[1]):
        code = better
    if "delay" in action:
        return {"delayed"}
    if any(word in action for word in ("deliver", "relay", "expand")):
        return {"other"}
    if not code:
        return FAILURES
    klass, subject, detail = map(int, code.groups())
    if klass == 2:
        return {"other"}
    if klass == 4:
        return {"soft", "block"} if subject == 7 else {"soft"}
    if (subject, detail) == (2, 2):
        return {"soft"}
    if subject == 1 and detail in (1, 2, 3, 4, 6, 10) or (subject, detail) == (2, 1):
        return {"hard"}
    if subject == 7:
        return {"block", "hard"} if re.search("unknown|not exist|no such|not found|invalid", words, re.I) else {"block", "soft"}
    return FAILURES


def right_answers(path):
    """None: nobody can say."""
    message = message_of(path)
    types = [part.get_content_type() for part in message.walk()]
    if "message/feedback-report" in types:
        return {"feedback"}
    if groups := groups_of(message):
        every = [meaning(*group) for group in groups]
        return set().union(*every)
    bounce = pytest.importorskip("flufl.bounce", reason="the package python3-flufl.bounce is not installed")
    temporary, permanent = bounce.all_failures(message)
    if permanent:
        return FAILURES
    if temporary:
        return {"delayed", "soft"}
    return None


def test_the_corpus_is_classified(judged):
    right, wrong, seen = 0, [], collections.Counter()
    for path, verdict in judged:
        answers = right_answers(path)
        seen[verdict["notice"]] += 1
        if answers is None:
            continue
        if verdict["notice"] in answers:
            right += 1
        else:
            wrong.append(f"{path}: {verdict['notice']} {verdict['status']}, not {sorted(answers)}")
    print(dict(seen), f"{right} right, {len(wrong)} wrong")
    assert right >= LEAST * (right + len(wrong)), "\n".join(wrong)
    assert right > 150


def test_machine_readable_reports_name_their_recipient(judged):
    nameless = [str(path) for path, verdict in judged
                if verdict["machine_readable"] and verdict["notice"] in FAILURES and not verdict["recipient"]]
    assert len(nameless) <= 0.05 * len(judged), nameless
