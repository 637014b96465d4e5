"""As python_frames.py, in sub-interpreters, each of which notes what its own interpreter says; some stand inside another one's stack, and some
run side by side on two threads, from 3.12 on each with a GIL of its own.

Words: FILE, as there. Says `none` where this Python has no sub-interpreters that can be made from Python.
"""
import json
import os
import sys
import threading

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

for n in range(TIMES):
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


def inner(number, times=20, begin=""):
    path = sys.argv[1] + ".%d"
    source = "__FILE__, NUMBER, PATH, TIMES = '<string>', %d, %r, %d; " % (number * 1000, path, times) + begin + INNER
    interpreter = interpreters.create()
    interpreters.run_string(interpreter, source)
    interpreters.destroy(interpreter)
    with open(path % (number * 1000)) as file:
        return eval(file.read())


def outer(n, number):
    return outer(n - 1, number) if n else inner(number)


def side_by_side(numbers):
    """None goes on before all have begun."""
    (begun, says), (hears, go) = os.pipe(), os.pipe()
    begin = "import os; os.write(%d, b'.'); os.read(%d, 1)" % (says, hears)
    found = []
    threads = [threading.Thread(target=lambda number=number: found.extend(inner(number, 200, begin))) for number in numbers]
    for thread in threads:
        thread.start()
    said = 0
    while said < len(threads):
        said += len(os.read(begun, len(threads)))
    os.write(go, b"." * len(threads))
    for thread in threads:
        thread.join()
    return found


notes = []
if interpreters is not None:
    for number in range(6):
        notes += outer(number % 3, number)
    notes += side_by_side([6, 7])
with open(sys.argv[1], "w") as file:
    json.dump(notes, file)
