"""Large blocks at the bottom of deep recursion, plain, through methods, and through C; FILE as in python_frames.py."""
import functools
import json
import sys

notes = []


def grab(size):
    chain, frame = [], sys._getframe(1)
    while frame is not None:
        chain.append((frame.f_code.co_filename, frame.f_lineno, getattr(frame.f_code, "co_qualname", frame.f_code.co_name)))
        frame = frame.f_back
    chain.insert(0, (__file__, grab.__code__.co_firstlineno + 7, "grab"))
    notes.append([1, size + 1, chain])
    bytearray(size)


def plain(n, size):
    return plain(n - 1, size) if n else grab(size)


class Thing:
    def __call__(self, n, size):
        if n:
            return Thing()(n - 1, size)
        grab(size)


def through_c(n, size):
    if n:
        return functools.reduce(lambda n, size: through_c(n - 1, size), [n, size])
    grab(size)


sys.setrecursionlimit(10000)
for n in range(150, 170):
    plain(n, 1000000 + n)
    Thing()(n, 1100000 + n)
    through_c(n, 1200000 + n)
plain(3000, 1300000)
for n in range(3):
    plain(900, 1400000)
    grab_at = plain(901, 1500000)
with open(sys.argv[1], "w") as file:
    json.dump(notes, file)
