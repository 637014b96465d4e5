"""A mark, by docs/MARK.md."""
import struct
import zlib

from ledger import live

KIND_NATIVE, KIND_THREAD = 1, 8


class Bytes:
    """Bytes being read, from the first on."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        taken = self.data[self.at : self.at + count]
        assert len(taken) == count
        self.at += count
        return taken

    def values(self, form):
        return struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))

    def u32(self):
        return self.values("I")[0]

    def u64(self):
        return self.values("Q")[0]

    def blob(self):
        return self.take(self.u32())

    def text(self):
        return self.blob().decode(errors="replace")

    def number(self):
        value = shift = 0
        while True:
            (byte,) = self.take(1)
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def numbers(self, count):
        return [self.number() for _ in range(count)]

    def list(self, entry):
        return [entry() for _ in range(self.u32())]

    def end(self):
        assert self.at == len(self.data), "bytes are left over"


def module(data):
    """A module: also of a recording's tables."""
    return {"bias": data.u64(), "start": data.u64(), "end": data.u64(), "path": data.text(), "build_id": data.blob()}


def code(data):
    """A Python code object: also of a recording's tables."""
    return {"first_line": data.u32(), "file": data.text(), "name": data.text()}


def sections(data):
    """Each section's bytes, by kind, every checksum looked at."""
    magic, version, count, size = struct.unpack_from("<8sIIQ", data)
    assert (magic, version, size) == (b"HEAPMARK", 1, len(data))
    table = [struct.unpack_from("<IIQ", data, 24 + 16 * line) for line in range(count)]
    at = 24 + 16 * count
    assert struct.unpack_from("<I", data, at)[0] == zlib.crc32(data[:at])
    at += 4
    found = {}
    for kind, checksum, length in table:
        found[kind] = Bytes(data[at : at + length])
        assert zlib.crc32(data[at : at + length]) == checksum
        at += length
    assert at == len(data)
    return found


def moment(data):
    unix_ns, rss, exact, in_flight = data.values("QQIQ")
    return {"unix_ns": unix_ns, "rss": rss, "exact": exact, "in_flight": in_flight, "name": data.text()}


def frames(data):
    """Caller, kind, module (-1: none) and value of each node."""
    found = []
    for node in range(data.u32()):
        back, kind_module, value = data.numbers(3)
        assert (back > 0) == (node > 0)
        found.append((node - back, kind_module % 16, kind_module // 16 - 1, value))
    return found


def meanings(data):
    """What addresses mean: by module, kind and value, the frames there."""
    texts = [None, *data.list(data.text)]

    def frame():
        file, line, function, *_ = data.values("9I")
        return texts[file], line, texts[function]

    def address():
        return data.values("IIQ"), data.list(frame)

    return dict(data.list(address))


def read(data):
    """What every mark has, and the peak, temporaries and meanings of one that has them."""
    kinds = sections(data)
    whole = {"moment": moment(kinds[2])}
    kinds[2].u64()
    kinds[8].text()
    process = kinds[1]
    process.values("IQQIi")
    process.text(), process.text(), process.list(process.text)
    kinds[3].values("6QI")
    kinds[7].values("4Q")
    whole["modules"] = kinds[4].list(lambda: module(kinds[4]))
    whole["codes"] = kinds[8].list(lambda: code(kinds[8]))
    whole["labels"] = kinds[9].list(kinds[9].text)
    whole["frames"] = frames(kinds[13])
    whole["sites"] = kinds[14].list(lambda: (kinds[14].number(), kinds[14].numbers(4)))
    done = [1, 2, 3, 4, 7, 8, 9, 13, 14]
    if 10 in kinds:
        assert sum(kinds[10].values("7Q")) == whole["moment"]["rss"]
        done.append(10)
    if 12 in kinds:
        moment(kinds[12])
        whole["highest"] = kinds[12].values("q")[0]
        kinds[12].list(lambda: kinds[12].numbers(4))
        done.append(12)
    if 16 in kinds:
        whole["meanings"] = meanings(kinds[16])
        done.append(16)
    if 19 in kinds:
        whole["temporaries"] = kinds[19].list(lambda: kinds[19].numbers(3))
        done.append(19)
    for kind in done:
        kinds[kind].end()
    return whole


def stack(whole, node):
    """The nodes from a site's on, outwards."""
    while node:
        yield whole["frames"][node]
        caller = whole["frames"][node][0]
        assert caller < node
        node = caller


def summary(data):
    """Totals, by label, and by what the innermost frame means, where the mark says that."""
    whole = read(data)
    accounts = [counters for _, counters in whole["sites"]]
    labels, lines = {}, {}
    for node, counters in whole["sites"]:
        alive = counters[0] - counters[2]
        nodes = list(stack(whole, node))
        label = next((whole["labels"][value] for _, kind, _, value in nodes if kind == KIND_THREAD), None)
        labels[str(label)] = labels.get(str(label), 0) + alive
        for _, kind, number, value in nodes[:1]:
            meaning = whole.get("meanings", {}).get((number, kind != KIND_NATIVE, value), [])
            for file, line, _ in meaning[:1]:
                lines[f"{file}:{line}"] = lines.get(f"{file}:{line}", 0) + alive
    temporaries = whole.get("temporaries", [])
    return {
        "live": live(accounts),
        "total": [sum(one[0] for one in accounts), sum(one[1] for one in accounts)],
        "temporary": [sum(one[1] for one in temporaries), sum(one[2] for one in temporaries)],
        "labels": labels,
        "lines": lines,
        "highest": whole.get("highest"),
    }
