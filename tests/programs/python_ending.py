"""Daemon threads that allocate large blocks in C, without the GIL, while the interpreter ends. Words: LIBRARY FILE.

FILE as in python_frames.py, with one entry a thread: its stack.
"""
import ctypes
import json
import os
import sys
import threading

SIZE = 1_000_000
lib = ctypes.CDLL(sys.argv[1])
lib.churn.argtypes = [ctypes.c_ulong, ctypes.c_int]
begun, begin = os.pipe()
notes = []


def note(size):
    chain, frame = [], sys._getframe(1)
    while frame is not None:
        chain.append((frame.f_code.co_filename, frame.f_lineno, getattr(frame.f_code, "co_qualname", frame.f_code.co_name)))
        frame = frame.f_back
    notes.append([1, size, chain])
    return size


def deep(n, size):
    if n:
        deep(n - 1, size)
    else:
        lib.churn(note(size), begin)


for n in range(3):
    threading.Thread(target=deep, args=(20 + n, SIZE + n), daemon=True).start()
said = 0
while said < 3:
    said += len(os.read(begun, 3))
with open(sys.argv[2], "w") as file:
    json.dump(notes, file)
