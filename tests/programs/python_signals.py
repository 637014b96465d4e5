"""C handlers that allocate while Python code runs: python_signals.py LIBRARY FILE

FILE gets JSON: how often each handler came, the stack in which the program sent itself a signal, and all stacks (innermost first, of [file, line, name]) of the
stretch that was run instruction by instruction, as the interpreter itself has said them of an earlier run; and which of these begin a line. Runs on CPython 3.7 to 3.13.
"""
import ctypes
import json
import os
import signal
import sys

library = ctypes.PyDLL(sys.argv[1])
library.install.argtypes = [ctypes.c_size_t, ctypes.c_size_t]
SENT = 100
lines, others = set(), set()


def name_of(code):
    return getattr(code, "co_qualname", code.co_name)


def stack_of(frame):
    chain = []
    while frame is not None:
        chain.append((frame.f_code.co_filename, frame.f_lineno or 0, name_of(frame.f_code)))
        frame = frame.f_back
    return tuple(chain)


def trace(frame, event, _):
    (lines if event == "line" else others).add(stack_of(frame))
    return trace


def code_of_the_interpreter():
    address = ctypes.cast(ctypes.pythonapi.PyEval_EvalCode, ctypes.c_void_p).value
    with open("/proc/self/maps") as maps:
        for line in maps:
            start, end = (int(word, 16) for word in line.split(" ", 1)[0].split("-"))
            if start <= address < end:
                return start, end


def send():
    stack = stack_of(sys._getframe())
    for _ in range(SENT):
        os.kill(os.getpid(), signal.SIGUSR1)
    return stack


def leaf(number, more=0):
    return number + more


def fails(number):
    raise ValueError(number)


def numbers(count):
    for number in range(count):
        yield leaf(number)


class Thing:
    def __init__(self, number):
        self.number = leaf(number, more=1)

    def __eq__(self, other):
        return leaf(self.number) == other.number


def stretch(begin, finish):
    begin()
    leaf(1)
    for number in numbers(2):
        leaf(number)
    try:
        fails(3)
    except ValueError:
        leaf(4)
    thing = Thing(5)
    sorted([thing, thing], key=lambda one: one.number)
    [thing].index(Thing(5))
    finish()


library.install(*code_of_the_interpreter())
(file, line, name), *callers = send()
sender = [(file, line + 2, name), *callers]
for traces, begin, finish in ((trace, int, int), (None, library.begin, library.finish)):
    sys.settrace(traces); stretch(begin, finish); sys.settrace(None)  # in one line, so that both runs are called from the same

with open(sys.argv[2], "w") as file:
    json.dump([library.count_sent(), library.count_stepped(), sender, sorted(lines), sorted(others)], file)
