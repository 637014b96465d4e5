"""Objects of Python: JSON to and fro, lists, dictionaries, instances. argv[1] = rounds"""
import json
import random
import sys


class Node:
    def __init__(self, name, children):
        self.name, self.children = name, children
        self.known = {"name": name, "count": len(children)}


def tree(depth, draw):
    return Node(f"n{draw.randrange(10**6)}", [tree(depth - 1, draw) for _ in range(3)] if depth else [])


def records(draw, count):
    return [
        {"id": i, "name": f"user{draw.randrange(10**6)}", "tags": [f"t{draw.randrange(99)}" for _ in range(5)],
         "scores": [draw.random() for _ in range(4)]}
        for i in range(count)
    ]


def main(rounds):
    draw, kept, total = random.Random(1), {}, 0
    for turn in range(rounds):
        text = json.dumps(records(draw, 1000))
        for record in json.loads(text):
            for tag in record["tags"]:
                kept.setdefault(tag, []).append(record["name"])
        if turn % 4 == 3:
            kept.clear()
        total += len(text) + len(tree(6, draw).known)
    print("total", total, len(kept))


main(int(sys.argv[1]))
