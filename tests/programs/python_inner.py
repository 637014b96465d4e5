"""As python_frames.py, in sub-interpreters, each of which notes what its own interpreter says; some stand inside another one's stack.

Words: FILE, as there. Says `none` where this Python has no sub-interpreters that can be made from Python.
"""
import json
import sys

INNER = """
import sys
notes = []

def grab(size):
    chain, frame = [], sys._getframe(1)
    while frame is not None:
        chain.append((frame.f_code.co_filename, frame.f_lineno, getattr(frame.f_code, "co_qualname", frame.f_code.co_name)))
        frame = frame.f_back
    chain.insert(0, (__FILE__, grab.__code__.co_firstlineno + 7, "grab"))
    notes.append([1, size + 1, chain])
    bytearray(size)

class Thing:
    def method(self, size):
        return [sorted([size], key=grab), grab(size)]

def down(n, size):
    if n:
        return down(n - 1, size)
    Thing().method(size)

for n in range(20):
    down(n % 5, 1000000 + n + NUMBER)
with open(PATH % NUMBER, "w") as file:
    file.write(repr(notes))
"""

try:
    import _interpreters as interpreters
except ImportError:
    try:
        import _xxsubinterpreters as interpreters
    except ImportError:
        print("none")
        interpreters = None


def inner(number):
    path = sys.argv[1] + ".%d"
    source = "__FILE__, NUMBER, PATH = '<string>', %d, %r" % (number * 1000, path) + INNER
    interpreter = interpreters.create()
    interpreters.run_string(interpreter, source)
    interpreters.destroy(interpreter)
    with open(path % (number * 1000)) as file:
        return eval(file.read())


def outer(n, number):
    return outer(n - 1, number) if n else inner(number)


notes = []
if interpreters is not None:
    for number in range(6):
        notes += outer(number % 3, number)
with open(sys.argv[1], "w") as file:
    json.dump(notes, file)
