"""Objects of known sizes, each kind made at a line of its own. Prints, for each such line: number, blocks, bytes, blocks freed.

Arguments: bytes that the interpreter adds to what pymalloc serves, and to what goes to malloc (its debug allocators); where pymalloc ends;
then a word: threads, fork, traced (tracemalloc was at work and has stopped), or nothing.
"""
import gc
import os
import sys
import threading
import tracemalloc

SMALL, LARGE, LIMIT = map(int, sys.argv[1:4])
WORD = sys.argv[4] if len(sys.argv) > 4 else ""
# The collector would allocate at whatever line it runs.
gc.disable()
# What a loop needs is made before, so that its lines make nothing else.
HUNDRED = list(range(100))
FILL = list(range(30))
MORE = list(range(200))
TABLE = bytes(1000)
CUTS = [slice(end) for end in (478, 479, 480)]
DASH = "-"


class Slots:
    __slots__ = ("one",)


def slots(kept):
    for at in HUNDRED:
        kept[at] = Slots()


def tuples(kept):
    for at in HUNDRED:
        kept[at] = tuple(FILL)


def bytes_478(kept):
    for at in HUNDRED:
        kept[at] = TABLE[CUTS[0]]


def bytes_479(kept):
    for at in HUNDRED:
        kept[at] = TABLE[CUTS[1]]


def bytes_480(kept):
    for at in HUNDRED:
        kept[at] = TABLE[CUTS[2]]


def texts(kept):
    for at in HUNDRED:
        kept[at] = DASH * 900


def fill(kept):
    for one in kept:
        one.extend(FILL)


def more(kept):
    for one in kept:
        one.extend(MORE)


def asked(size):
    """What the innermost allocator is asked for, where an object of this size is."""
    return size + (SMALL if size <= LIMIT else LARGE)


def note(function, sizes, freed=0):
    line = function.__code__.co_firstlineno + 2
    print(line, len(sizes), sum(map(asked, sizes)), freed)


def check(function, kept, freed=0):
    function(kept)
    note(function, [sys.getsizeof(one) for one in kept], freed)


def half(kept):
    for at in range(0, 100, 2):
        kept[at] = None


def lists():
    kept = [[] for _ in HUNDRED]
    empty = sys.getsizeof(kept[0])
    fill(kept)
    small = [sys.getsizeof(one) - empty for one in kept]
    more(kept)
    note(fill, small, len(small))
    note(more, [sys.getsizeof(one) - empty for one in kept])
    return kept


def shapes():
    all_kept = [[None] * 100 for _ in range(5)]
    check(slots, all_kept[0], 50)
    half(all_kept[0])
    check(tuples, all_kept[1])
    check(bytes_478, all_kept[2])
    check(bytes_479, all_kept[3])
    check(bytes_480, all_kept[4])
    return all_kept, lists()


def in_threads():
    all_kept = [[None] * 100 for _ in range(20)]
    threads = [threading.Thread(target=texts, args=(kept,)) for kept in all_kept]
    threads += [threading.Thread(target=slots, args=(kept,)) for kept in [[None] * 100 for _ in range(20)]]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    sizes = [sys.getsizeof(one) for kept in all_kept for one in kept]
    note(texts, sizes)
    note(slots, 2000 * [sys.getsizeof(Slots())], 2000)
    return all_kept


def in_child():
    """The child frees what its parent made, and makes half of it again: the parent keeps all."""
    kept = [None] * 100
    check(slots, kept)
    sys.stdout.flush()
    if os.fork():
        os.wait()
        return kept
    half(kept)
    again = [Slots() for _ in range(50)]
    # Without the interpreter's own end, which would free what is left.
    os._exit(len(again) - 50)


def after_tracing():
    tracemalloc.start(3)
    other = [Slots() for _ in range(1000)]
    tracemalloc.stop()
    return other, shapes()


WAYS = {"threads": in_threads, "fork": in_child, "traced": after_tracing}
KEPT = WAYS.get(WORD, shapes)()
sys.stdout.flush()
# What is alive now stays: the account ends here.
os._exit(0)
