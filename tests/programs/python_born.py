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

CACHE = [None] * 100
POOL = [None] * 400

def refill():
    for place in range(len(CACHE)):
        CACHE[place] = bytes(100)  # cache

def pool(first, end):
    for place in range(first, end):
        POOL[place] = bytes(60)  # pool

def shrink(first, end):
    for place in range(first, end):
        POOL[place] = None

EDGES = [None] * 20

def edges():
    for place in range(len(EDGES)):
        EDGES[place] = bytes(465 + place)  # edges

def pass_by():
    for _ in range(1000):
        bytes(150)  # passing

kept = [None] * 50
refill()
pool(0, 300)
step("ready")
fill(kept, 20000)
refill()
pool(300, 330)
shrink(0, 150)
edges()
pass_by()
small = fill(kept, 20000)
step("done")
