"""A recording, by docs/TRACE.md. Unpacked by the program zstd."""
import struct
import subprocess
import zlib

import mark

START, TABLES, EVENTS, END, NOTE = 1, 2, 3, 4, 5
SAME_THREAD, FORESEEN, SIZE, ADDRESS, FREED_BY = 4, 8, 16, 32, 64


def unpack(part):
    if not part:
        return b""
    return subprocess.run(["zstd", "-dcq"], input=part, stdout=subprocess.PIPE, check=True).stdout


def signed(number):
    return (number >> 1) ^ -(number & 1)


def distance(column):
    number = signed(column.number())
    return number >> 1 if number & 1 else (number >> 1) * 16


def chunks(data):
    """The head's fields and both parts of each chunk."""
    assert struct.unpack_from("<8sI", data) == (b"HEAPTRAC", 1)
    at = 16
    while at < len(data):
        head = struct.unpack_from("<4I3Q2q2I", data, at)
        kind, first, second, of_both, from_ns, to_ns, events, growth, crest, of_head, of_first = head
        assert zlib.crc32(data[at : at + 56]) == of_head
        at += 64
        parts = data[at : at + first], data[at + first : at + first + second]
        assert zlib.crc32(b"".join(parts)) == of_both and zlib.crc32(parts[0]) == of_first
        at += first + second
        yield kind, (from_ns, to_ns, events, growth, crest), [unpack(part) for part in parts]


class Class:
    """Blocks of one size: where the last one was allocated, and which were freed."""

    def __init__(self):
        self.last, self.freed = 0, []

    def free(self, address):
        if len(self.freed) == 64:
            del self.freed[:32]
        self.freed.append(address)

    def allocate(self, address):
        self.last = address
        for at in reversed(range(len(self.freed))):
            if self.freed[at] == address:
                del self.freed[at]
                break


class Events:
    """A chunk's events: microseconds, whether a block was freed, site, size, address, and the site that freed it."""

    def __init__(self, data, from_ns):
        data = mark.Bytes(data)
        self.columns = []
        while data.at < len(data.data):
            self.columns.append(mark.Bytes(data.blob()))
        self.at = from_ns // 1000
        self.thread, self.last_freed, self.blocks = 0, 0, []
        self.last_site, self.next_site, self.sizes, self.classes, self.freed_by = {}, {}, {}, {}, {}

    def __iter__(self):
        whats, threads, times, *_ = self.columns
        for what in whats.data:
            if not what & SAME_THREAD:
                self.thread = threads.number()
            self.at += times.number()
            freed = what & 1
            yield (self.at, freed, *(self.free(what) if freed else self.allocate(what)))
        for column in self.columns[1:]:
            column.end()

    def size_class(self, size):
        return self.classes.setdefault((size + 23) // 16, Class())

    def allocate(self, what):
        _, _, _, sites, sizes, places, *_ = self.columns
        before = self.last_site.get(self.thread, 0)
        site = self.next_site.get((self.thread, before), before) if what & FORESEEN else sites.number()
        self.next_site[self.thread, before] = self.last_site[self.thread] = site
        size = self.sizes[site] = self.sizes.get(site, 0) if what & SIZE else sizes.number()
        of_size = self.size_class(size)
        address = of_size.freed[-1] if what & ADDRESS else of_size.last + distance(places)
        of_size.allocate(address)
        self.blocks.append((site, size, address))
        return site, size, address, 0

    def free(self, what):
        _, _, _, sites, sizes, places, *rest = self.columns
        if what & FORESEEN:
            site, size, address = self.blocks[-1 - places.number()]
        else:
            site = sites.number()
            size = self.sizes.get(site, 0) if what & SIZE else sizes.number()
            address = self.last_freed + distance(places)
        by = 0
        for column in rest:
            by = self.freed_by[site] = self.freed_by.get(site, 0) if what & FREED_BY else column.number()
        self.last_freed = address
        self.size_class(size).free(address)
        return site, size, address, by


def sums(events):
    """What events come to by site, and the growth with its crest."""
    found, growth, crest = {}, 0, 0
    for _, freed, site, size, _, _ in events:
        account = found.setdefault(site, [0, 0, 0, 0])
        account[2 * freed] += size
        account[2 * freed + 1] += 1
        growth += -size if freed else size
        crest = max(crest, growth)
    return found, growth, crest


def written_sums(data):
    data, site, found = mark.Bytes(data), 0, {}
    for _ in range(data.number()):
        site += data.number()
        found[site] = data.numbers(4)
    data.end()
    return found


def tables(data, into):
    """Puts a chunk's tables behind what is known."""
    data = mark.Bytes(data)
    frame = lambda: data.values("IIIQ")
    entries = [lambda: mark.module(data), lambda: mark.code(data), data.text, frame, data.u32]
    for known, entry in zip(into, entries):
        first, count = data.values("II")
        assert first <= len(known)
        known[first:] = [entry() for _ in range(count)]
    data.end()


def summary(data):
    """What all events come to, compared with the sums and heads of their chunks and with the accounts at both ends."""
    account, known, notes, freed_by, count = {}, [[], [], [], [], []], [], 0, 0
    for kind, (from_ns, to_ns, events, growth, crest), (first, second) in chunks(data):
        if kind == START:
            start = mark.read(first)
            highest = alive = mark.live([counters for _, counters in start["sites"]])[0]
            known = [list(start[table]) for table in ["modules", "codes", "labels", "frames"]]
            known.append([node for node, _ in start["sites"]])
        elif kind == TABLES:
            tables(first, known)
        elif kind == EVENTS:
            all_events = list(Events(second, from_ns))
            assert (len(all_events), all_events[0][0], all_events[-1][0]) == (events, from_ns // 1000, to_ns // 1000)
            assert sums(all_events) == (written_sums(first), growth, crest)
            assert all(site < len(known[4]) for _, _, site, *_ in all_events)
            highest = max(highest, alive + crest)
            alive, count = alive + growth, count + events
            freed_by += sum(by != 0 for *_, by in all_events)
            for site, numbers in written_sums(first).items():
                account[site] = [sum(pair) for pair in zip(account.get(site, [0] * 4), numbers)]
        elif kind == NOTE:
            notes.append(first.decode())
        elif kind == END:
            end, missing = mark.read(first), events
    nothing = [0] * 4
    for site, (node, counters) in enumerate(end["sites"]):
        before = start["sites"][site][1] if site < len(start["sites"]) else nothing
        assert missing or counters == [sum(pair) for pair in zip(before, account.get(site, nothing))], site
        assert known[4][site] == node
    return {
        "events": count,
        "missing": missing,
        "growth": mark.live(account.values()),
        "highest": highest,
        "notes": notes,
        "freed_by": freed_by,
    }
