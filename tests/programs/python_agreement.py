"""Workloads of the standard library between two moments: python_agreement.py tracemalloc|heapshim DIRECTORY [WORKLOAD ...]

The two runs do the same, to the call, so that the interpreter's free lists and caches are in the same state: in one of them
the function that is called at each moment marks, in the other it forks, and the child writes down what tracemalloc has.

What would differ from one run to the next whoever looks is kept out: collections at times of their own, names that a cache
keeps alive by where in memory they lie, imports (which make such names), sets of objects that are hashed by address.
"""
import _tracemalloc
import ctypes
import gc
import os
import sys

FRAMES = 23  # of each stack; a number that is found again, below


def heap_is_elsewhere():
    """Whether malloc's heap is neither far below 2^30 nor far above it. A class is known to its bases by its address, an integer that takes 28
    bytes below and 32 above; the kernel puts the heap of a program that is not position-independent on either side, a few in a hundred above."""
    with open("/proc/self/maps") as maps:
        heaps = [int(line.split("-")[0], 16) for line in maps if line.endswith("[heap]\n")]
    return any((1 << 30) - (1 << 28) < first < 1 << 40 for first in heaps)


if heap_is_elsewhere():
    os.execv(sys.executable, [sys.executable] + sys.argv)


def data_areas():
    """The memory of the interpreter's variables: mapped from its file, or directly behind that."""
    end_before = 0
    with open("/proc/self/maps") as maps:
        for addresses, rights, _, _, _, *path in map(str.split, maps):
            first, end = (int(address, 16) for address in addresses.split("-"))
            is_its_own = "python" in "".join(path) or first == end_before and not path
            if is_its_own and rights.startswith("rw"):
                yield first, end - first
            end_before = end if is_its_own else 0


def settings():
    """Where tracemalloc keeps its settings, {initialized, tracing, frames}: a variable of the interpreter's that has no name."""
    _tracemalloc.start(FRAMES + 1)
    wanted = bytes((ctypes.c_int * 3)(1, 1, FRAMES + 1))
    found = []
    for first, size in data_areas():
        memory = ctypes.string_at(first, size)
        place = memory.find(wanted)
        while place >= 0:
            found.append((ctypes.c_int * 3).from_address(first + place))
            place = memory.find(wanted, place + 1)
    _tracemalloc.stop()
    _tracemalloc.start(FRAMES)
    found = [place for place in found if list(place) == [1, 1, FRAMES]]
    assert len(found) == 1, found
    return found[0]


def write_down(name, traces):
    table = {}
    for domain, size, frames, *_ in traces:
        entry = table.setdefault(frames, [0, 0])
        entry[0] += size
        entry[1] += 1
    with open(os.path.join(sys.argv[2], name), "w") as file:
        for frames, (size, count) in table.items():
            places = "\t".join("%s:%d" % frame for frame in frames)
            file.write("%d\t%d\t%s\n" % (size, count, places))
    os._exit(0)


def moment(name):
    sys._clear_type_cache()
    look(name)
    if os.getpid() != PID:
        # Empties the free list of lists, and calls no function of Python: what is made of old memory would take its place.
        kept = [*map(str.split, ("",) * 200)]  # the look
        held[1] = 1  # the look
        traces = _tracemalloc._get_traces()  # the look
        write_down(name.decode(), traces)  # the look


def json_():
    import json
    text = json.dumps([{"name": "x%d" % i, "values": [i, i / 3, None, True]} for i in range(300)], indent=1)
    return text, json.loads(text)


def re_():
    import re
    return [re.compile("(a%d|b+)*[c-e]{2,%d}" % (i, i + 2)) for i in range(50)], re.findall(r"\w+|\d", "some words 1 2 3 " * 200)


def asyncio_():
    import asyncio
    kept = []

    async def work(number):
        await asyncio.sleep(0)
        kept.append(asyncio.get_running_loop().create_future())
        return [number] * number

    async def main():
        return await asyncio.gather(*[work(i) for i in range(100)])
    loop = asyncio.new_event_loop()
    result = loop.run_until_complete(main())
    loop.close()
    return kept, result


def decimal_():
    import decimal
    decimal.getcontext().prec = 200
    return [decimal.Decimal(i).sqrt() for i in range(2, 200)]


def xml_():
    import xml.etree.ElementTree as et
    import xml.dom.minidom as minidom
    text = "<a>" + "".join("<b c='%d'>text %d<d/></b>" % (i, i) for i in range(300)) + "</a>"
    return et.fromstring(text), minidom.parseString(text)


def sqlite3_():
    import sqlite3
    connection = sqlite3.connect(":memory:")
    connection.execute("create table t (a integer, b text)")
    connection.executemany("insert into t values (?, ?)", [(i, "text %d" % i) for i in range(500)])
    return connection, connection.execute("select * from t").fetchall()


def pickle_():
    import pickle
    data = {i: ("x" * i, [float(i)], {str(i)}) for i in range(300)}
    return pickle.loads(pickle.dumps(data)), pickle.dumps(data, 0)


def argparse_():
    import argparse
    parser = argparse.ArgumentParser(prog="x")
    for i in range(30):
        parser.add_argument("--option-%d" % i, type=int, default=i, help="help %d" % i)
    return parser, parser.parse_args(["--option-3", "7"]), parser.format_help()


def collections_():
    import collections
    Point = collections.namedtuple("Point", "x y z")
    return [Point(i, i, i) for i in range(300)], collections.OrderedDict((i, i) for i in range(300)), \
        collections.Counter("some text to count"), collections.deque(range(1000)), collections.ChainMap({1: 2})


def csv_():
    import csv
    import io
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerows([i, "text, %d" % i, i / 7] for i in range(300))
    return out, list(csv.DictReader(io.StringIO(out.getvalue()), ["a", "b", "c"]))


def datetime_():
    import datetime
    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
    return [(start + datetime.timedelta(days=i, microseconds=i)).isoformat() for i in range(500)]


def email_():
    import email
    import email.message
    message = email.message.EmailMessage()
    message["Subject"] = "a subject"
    message["To"] = "a@example.org, b@example.org"
    message.set_content("text\n" * 300)
    message.add_attachment(b"bytes" * 100, maintype="application", subtype="x", filename="x.bin")
    return message, email.message_from_bytes(message.as_bytes())


def threads_():
    import _thread
    import queue
    done = queue.SimpleQueue()

    def work(number):
        done.put([bytes(number * 100), {number: str(number)}])
    kept = []
    for i in range(20):
        _thread.start_new_thread(work, (i,))
        kept.append(done.get())
    return kept


def classes_():
    import dataclasses
    import enum
    import functools

    @dataclasses.dataclass
    class Item:
        name: str
        price: float

    @functools.lru_cache(maxsize=None)
    def fibonacci(n):
        return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)

    def generator(n):
        if n:
            yield n
            yield from generator(n - 1)
    made = [type("C%d" % i, (Item,), {"number": i})("x", i) for i in range(50)]
    return made, enum.Enum("E", ["N%d" % i for i in range(50)]), fibonacci(80), fibonacci, list(generator(30))


def exceptions_():
    kept = []
    for i in range(100):
        try:
            try:
                raise KeyError(i)
            except KeyError as error:
                raise ValueError("x%d" % i) from error
        except ValueError as error:
            kept.append(error)
    return kept


def numbers_():
    import fractions
    import random
    import statistics
    random.seed(7)
    data = [random.random() for _ in range(500)]
    return data, [fractions.Fraction(i, 7) for i in range(100)], statistics.mean(data), 3 ** 5000


def text_():
    import difflib
    import string
    import textwrap
    words = "some words that are wrapped and compared " * 20
    return textwrap.wrap(words), list(difflib.unified_diff(words.split(), words.split()[3:])), \
        [string.Template("$a and $b").substitute(a=i, b="é" * i) for i in range(100)]


def all_of_them():
    return [workload() for workload in workloads]


workloads = [globals()[name + "_"] for name in sys.argv[3:]]
gc.disable()
PID = os.getpid()
held = settings()
if sys.argv[1] == "tracemalloc":
    # An object from a free list (a float, a list, a frame) is otherwise moved to the line that uses it again, though no
    # memory is allocated there. _Py_NewReference asks this; the allocators do not.
    held[1] = 0
    look = ctypes.PyDLL(None).fork
else:
    _tracemalloc.stop()
    look = ctypes.PyDLL(None).heapshim_mark
look.restype = None
kept = all_of_them()  # imports
kept = None
while gc.collect():
    pass
moment(b"before")
kept = all_of_them()
moment(b"after")
if sys.argv[1] == "tracemalloc":
    held[1] = 1  # or it would not stop at the interpreter's end
    assert [os.wait()[1] for _ in range(2)] == [0, 0]
else:
    os.write(1, b"marked\n")
    os.read(0, 1)
