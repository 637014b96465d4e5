"""Random stacks: each large block is asked for at a random place of a random program, which notes what the interpreter says of that place.

Words: SEED COUNT FILE. FILE gets a JSON list of [blocks, bytes, [[file, line, name], … innermost first]]. Runs on CPython 3.7 to 3.13.
"""
import asyncio
import contextlib
import functools
import gc
import json
import random
import re
import sys
import threading
import weakref

try:
    import ctypes
except ImportError:
    ctypes = None

SIZE = 1_000_000
seen = {}
rng = random.Random(int(sys.argv[1]))


def name_of(code):
    return getattr(code, "co_qualname", code.co_name)


malloc = free = None
if ctypes is not None:
    malloc, free = ctypes.CDLL(None).malloc, ctypes.CDLL(None).free
    malloc.restype, malloc.argtypes, free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]


def grab():
    """A large block, from the interpreter or, without the GIL, from libc."""
    size, chain, frame = SIZE + rng.randrange(1000), [], sys._getframe(1)
    while frame is not None:
        chain.append((frame.f_code.co_filename, frame.f_lineno or 0, name_of(frame.f_code)))
        frame = frame.f_back
    without_gil = malloc is not None and rng.random() < 0.2
    line = grab.__code__.co_firstlineno + (10 if without_gil else 12)
    note(((__file__, line, "grab"), *chain), size + (not without_gil))  # a bytearray keeps a NUL behind its bytes
    if without_gil:
        free(malloc(size))
    else:
        bytearray(size)


def note(stack, size):
    blocks, total = seen.get(stack, (0, 0))
    seen[stack] = (blocks + 1, total + size)


def plain(d):
    go(d)


class Thing:
    def __init__(self, d=None):
        self.d = d
        if d is not None:
            go(d)

    def method(self, d):
        go(d)

    @classmethod
    def of_class(cls, d):
        return [cls.of_static(d)]

    @staticmethod
    def of_static(d):
        go(d)

    @property
    def value(self):
        go(self.d)
        return 1

    def __getattr__(self, name):
        if name != "absent":
            raise AttributeError(name)
        go(self.d)
        return 2

    def __lt__(self, other):
        return bool(go(self.d))

    def __iter__(self):
        go(self.d)
        yield 3

    def __enter__(self):
        go(self.d)

    def __exit__(self, *error):
        return True


class Ending:
    def __init__(self, d):
        self.d = d

    def __del__(self):
        go(self.d)


def in_attributes(d):
    thing = Thing()
    thing.d = d
    rng.choice((lambda: thing.value, lambda: thing.absent, lambda: sorted([thing, thing]), lambda: list(thing)))()


def at_end(d):
    ending = Ending(d)
    if rng.random() < 0.5:
        ending.itself = ending
    del ending
    gc.collect()


def in_callbacks(d):
    def callback(*_):
        return go(d) or ""

    rng.choice((
        lambda: sorted([1], key=callback),
        lambda: list(map(callback, [1])),
        lambda: re.sub("x", callback, "x"),
        lambda: functools.reduce(callback, [1, 2]),
        lambda: functools.partial(callback, 1)(),
        lambda: json.loads("{}", object_hook=callback),
        lambda: min([1, 2], key=callback),
    ))()


def in_weakref(d):
    thing = Thing()
    kept = weakref.ref(thing, lambda _: go(d))
    del thing
    return kept


def in_generator(d):
    def inner(cell):
        yield cell
        go(d)
        yield [go(d) for _ in range(rng.randrange(2))]

    def outer():
        yield from inner(1)

    for _ in outer():
        pass
    generator = outer()
    next(generator)
    generator.send(None)


def in_comprehension(d):
    return [go(d) for _ in "x"], {go(d) for _ in "y"}, list(go(d) for _ in "z")


def in_handler(d):
    try:
        try:
            raise ValueError(
                go(d)
            )
        finally:
            plain(d)
    except ValueError as error:
        go(
            d if error else
            0)


@contextlib.contextmanager
def managed(d):
    go(d)
    yield
    go(d)


def in_context(d):
    with managed(d), Thing(d):
        raise KeyError


def in_coroutine(d):
    async def inner():
        go(d)

    async def outer():
        await inner()
        async with Async():
            return [x async for x in numbers()]

    class Async:
        async def __aenter__(self):
            go(d)

        async def __aexit__(self, *error):
            await inner()

    async def numbers():
        go(d)
        yield 1

    try:
        outer().send(None)
    except StopIteration:
        pass


def in_asyncio(d):
    async def task():
        await asyncio.sleep(0)
        go(d)

    async def main():
        await asyncio.gather(task(), task())

    if asyncio._get_running_loop() is None:
        asyncio.run(main())


def in_thread(d):
    thread = threading.Thread(target=go, args=(d,))
    thread.start()
    thread.join()


def in_c(d):
    if ctypes is None:
        return go(d)
    kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
    array = (ctypes.c_int * 2)(2, 1)
    ctypes.CDLL(None).qsort(array, 2, 4, kind(lambda *_: go(d) or 0))


def in_made(d):
    """Code that is made and collected again and again, with other lines and names at the same addresses."""
    for _ in range(3):
        space = {"go": go, "d": d}
        lines = "\n" * rng.randrange(40)
        name = "made%d" % rng.randrange(5)
        kind = rng.randrange(3)
        if kind == 0:
            exec(compile(lines + "go(d)", "<%s>" % name, "exec"), space)
        elif kind == 1:
            eval(compile("(" + lines + "go(d))", "<\u7dda\u00e9%s>" % name, "eval"), space)
        else:
            exec(compile(lines + "def %s():\n  x = [d]\n  return (lambda: go(x[0]))()" % name, "<made>", "exec"), space)
            space[name]()


def in_cells(d):
    """Functions with cells, whose frames are being set up when the cells are made."""
    def one():
        a = b = c = d

        def two():
            nonlocal a
            a = b + c - d
            go(a)
        two()
    one()


def in_trace(d):
    def profile(frame, event, arg):
        sys.setprofile(None)
        go(d)

    sys.setprofile(profile)
    try:
        plain(0)
    finally:
        sys.setprofile(None)


def in_metaclass(d):
    class Meta(type):
        def __new__(meta, *args):
            go(d)
            return super().__new__(meta, *args)

    class Made(metaclass=Meta):
        value = go(d)

        def __init_subclass__(cls):
            go(d)

    class Below(Made):
        pass


def down(d, n):
    return go(d) if n == 0 else down(d, n - 1)


def in_recursion(d):
    down(d, rng.randrange(12))


WAYS = [
    plain, Thing, Thing().method, Thing.of_class, in_attributes, at_end, in_callbacks, in_weakref, in_generator, in_comprehension,
    in_handler, in_context, in_coroutine, in_asyncio, in_thread, in_c, in_made, in_cells, in_trace, in_metaclass, in_recursion,
]


def go(d):
    if d <= 0 or len(seen) > 5 and rng.random() < 0.25:
        grab()
    elif budget.take():
        rng.choice(WAYS)(d - 1)


class Budget:
    def __init__(self, left):
        self.left = left

    def take(self):
        self.left -= 1
        return self.left > 0


def same_native_stack():
    """The same C stack, at other lines of one function and in other functions."""
    def one():
        grab(); grab()
        grab()

    def two():
        grab()

    for _ in range(50):
        one(); two()
        two()


budget = Budget(10)
same_native_stack()
for _ in range(int(sys.argv[2])):
    budget = Budget(60)
    go(rng.randrange(12))
gc.collect()  # what ends now asks for its blocks now
gc.disable()
with open(sys.argv[3], "w") as file:
    json.dump([[blocks, total, stack] for stack, (blocks, total) in list(seen.items())], file)
