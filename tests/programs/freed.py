"""Objects of one line that several lines drop, one of which stops."""
import os

SLOTS = [None] * (1 << 20)
TABLE = {}
first = end = 0


def put(at):
    SLOTS[at] = bytes(100)  # put


def evict(at):
    SLOTS[at] = None  # evict


def expire(at):
    SLOTS[at] = None  # expire


def remember(key):
    TABLE[key] = bytes(200)  # remember


def forget(key):
    TABLE.pop(key)  # forget


def a_round(evicts):
    global first, end
    for _ in range(10):
        put(end)
        remember(end)
        end += 1
    for _ in range(6 if evicts else 0):
        evict(first)
        forget(first)
        first += 1
    for _ in range(2):
        expire(first)
        first += 1


def step(word):
    os.write(1, word + b"\n")
    line = b""
    while not line.endswith(b"\n"):
        read = os.read(0, 1)
        if not read:
            os._exit(0)
        line += read
    return line


what = step(b"warm")
while what in (b"e\n", b"n\n"):
    for _ in range(100 if what == b"e\n" else 10):
        a_round(what == b"e\n")
    what = step(b"done")
