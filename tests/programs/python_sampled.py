"""Objects that a sample is taken of: small ones, which pymalloc serves, and large ones, which malloc does; told to make and to drop them. None goes to
a free list of the interpreter's, where a dropped list is kept, and with it a sample in some runs."""
import gc
import sys

gc.disable()
NUMBERS = list(range(50000))
kept = [None] * len(NUMBERS)
large = [None] * 400
TEXT = "x"


def make():
    for at in NUMBERS:
        kept[at] = bytes(23)  # row: function=make
    for at in range(400):
        large[at] = TEXT * 5000  # row: function=make


def drop():
    for at in NUMBERS:
        kept[at] = None
    for at in range(400):
        large[at] = None


def step(word):
    print(word, flush=True)
    return sys.stdin.readline()[:1]


command = step("ready")
while command and command != "q":
    {"a": make, "f": drop}[command]()
    command = step("done")
