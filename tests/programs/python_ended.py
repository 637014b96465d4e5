"""Daemon threads that stand in C, without the GIL, in the middle of an allocation, while the interpreter ends and deletes their states. Words: LIBRARY FILE.

FILE as in python_frames.py: a thread's stack where the interpreter lived, and none from then on.
"""
import ctypes
import json
import os
import sys
import threading
import types

SIZE, TURNS, THREADS = 1_000_000, 100, 3
lib = ctypes.CDLL(sys.argv[1])
lib.work.argtypes = [ctypes.c_ulong]
(reached, says_reached), (hears_go, go), (over, says_over) = os.pipe(), os.pipe(), os.pipe()
names = [name for name in ["Py_IsFinalizing", "_Py_IsFinalizing"] if hasattr(ctypes.pythonapi, name)]
question = ctypes.cast(getattr(ctypes.pythonapi, names[0]), ctypes.c_void_p)
lib.hold(question, says_reached, hears_go, says_over)
notes = []


def note(size):
    chain, frame = [], sys._getframe(1)
    while frame is not None:
        chain.append((frame.f_code.co_filename, frame.f_lineno, getattr(frame.f_code, "co_qualname", frame.f_code.co_name)))
        frame = frame.f_back
    notes.append([TURNS, TURNS * size, chain])
    notes.append([1 + TURNS, (2 + 3 * TURNS) * size, []])
    return size


def deep(n, size):
    if n:
        deep(n - 1, size)
    else:
        lib.work(note(size))


class Last:
    """Goes with the module that nothing else refers to, when the modules do: after the threads' states. (The main module's variables stay in 3.7.)"""

    def __del__(self, let_go=lib.let_go, words=(go, over, THREADS)):
        let_go(*words)


for n in range(THREADS):
    threading.Thread(target=deep, args=(20 + n, SIZE + n), daemon=True).start()
said = 0
while said < THREADS:
    said += len(os.read(reached, THREADS))
with open(sys.argv[2], "w") as file:
    json.dump(notes, file)
sys.modules["last"] = types.ModuleType("last")
sys.modules["last"].last = Last()
