"""Blocks of malloc's and objects of the interpreter's, allocated after a mark."""
import sys

def step(word):
    sys.stdout.write(word + "\n")
    sys.stdout.flush()
    return sys.stdin.readline().strip()

def fill(kept, size):
    for place in range(len(kept)):
        kept[place] = b"x" * size  # large
    return [(number, number) for number in range(1000, 2000)]  # objects

kept = [None] * 50
step("ready")
fill(kept, 20000)
small = fill(kept, 20000)
step("done")
