"""Marks from Python, through ctypes: the interface needs no module of ours."""
import ctypes
import os

mark = ctypes.CDLL(None).heapshim_mark


def step(word):
    os.write(1, word + b"\n")
    while os.read(0, 1) not in (b"\n", b""):
        pass


step(b"ready")
assert mark(b"before") == 0
kept = bytearray(1_000_000)
assert mark(b"after") == 0
other = bytearray(3_000_000)
step(b"done")
