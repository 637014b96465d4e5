"""A ledger, by docs/LEDGER.md."""
import struct

FRAMES, SITES, COUNTERS, STRINGS, MARKS, MARK_COUNTERS, TEMPORARIES, ESTIMATES = 3, 4, 5, 2, 7, 8, 11, 16
KIND_THREAD = 6
SHARED_SLOT = 16
MASK = (1 << 64) - 1


class Ledger:
    """The section table, checked, and what is in the sections."""

    def __init__(self, data):
        self.data = data
        magic, version, state, total = struct.unpack_from("<8sIIQ", data)
        assert (magic, version, state, total) == (b"HEAPSHIM", 10, 1, len(data))
        lens = struct.unpack_from("<8I", data, 128)
        self.sites_len, self.threads_len, self.marks_len, self.shared = lens[1], lens[4], lens[5], lens[7]
        self.sections = {}
        for line in range(struct.unpack_from("<I", data, 64)[0]):
            kind, size, offset, entries = struct.unpack_from("<IIQQ", data, 256 + 32 * line)
            assert offset % 4096 == 0 and offset + size * entries <= total
            self.sections[kind] = size, offset, entries
        self.room = self.sections[SITES][2]

    def entry(self, kind, index, form):
        size, offset, entries = self.sections[kind]
        assert index < entries and struct.calcsize(form) <= size
        return struct.unpack_from(form, self.data, offset + size * index)

    def text(self, word):
        begin = self.sections[STRINGS][1] + (word >> 32)
        return self.data[begin : begin + (word & 0xFFFFFFFF)].decode()

    def slots(self):
        shared = [SHARED_SLOT] if self.shared else []
        return [*range(min(self.threads_len, SHARED_SLOT)), *shared]

    def account(self, site):
        """Bytes and blocks ever allocated, and ever freed; of samples, what they stand for."""
        rows = [self.entry(COUNTERS, slot * self.room + site, "<4Q") for slot in self.slots()]
        sums = [sum(column) & MASK for column in zip(*rows)]
        stands_for = self.entry(ESTIMATES, site, "<4Q")
        points = [8, 16, 8, 16]
        return [counted + (estimate + (1 << point - 1) >> point) for counted, estimate, point in zip(sums, stands_for, points)]

    def temporaries(self, site):
        rows = [self.entry(TEMPORARIES, slot * self.room + site, "<2Q") for slot in self.slots()]
        return [sum(column) for column in zip(*rows)]

    def label(self, site):
        """The label of the thread that a site's stack is of."""
        node = self.entry(SITES, site, "<I")[0]
        while node:
            parent, kind_module, value = self.entry(FRAMES, node, "<IIQ")
            assert parent < node
            if kind_module >> 24 == KIND_THREAD:
                return self.text(value)
            node = parent
        return None

    def marks(self):
        """What was alive at each mark that the program took itself."""
        found = {}
        for number in range(max(0, self.marks_len - 8), self.marks_len):
            sequence, sites = self.entry(MARKS, number % 8, "<II")
            if sequence == (number + 1) * 2:
                name = self.entry(MARKS, number % 8, "<32x64s")[0].rstrip(b"\0").decode()
                cells = [self.entry(MARK_COUNTERS, number % 8 * self.room + site, "<4Q") for site in range(sites)]
                found[name] = live(cells)
        return found


def live(accounts):
    """Bytes and blocks alive, of many accounts."""
    return [sum(one[0] - one[2] for one in accounts), sum(one[1] - one[3] for one in accounts)]


def summary(data):
    """Totals, by label, and at the program's own marks."""
    whole = Ledger(data)
    sites = range(whole.sites_len)
    accounts = [whole.account(site) for site in sites]
    temporaries = [whole.temporaries(site) for site in sites]
    labels = {}
    for site, account in zip(sites, accounts):
        labels[str(whole.label(site))] = labels.get(str(whole.label(site)), 0) + account[0] - account[2]
    return {
        "live": live(accounts),
        "total": [sum(one[0] for one in accounts), sum(one[1] for one in accounts)],
        "temporary": [sum(column) for column in zip(*temporaries)],
        "labels": labels,
        "marks": whole.marks(),
    }
