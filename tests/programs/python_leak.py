"""A server's response, whose headers are kept by an extension module (leaky_extension.c): python_leak.py EXTENSION leaky|fixed"""
import importlib.machinery
import importlib.util
import os
import sys

loader = importlib.machinery.ExtensionFileLoader("pairs", sys.argv[1])
pairs = importlib.util.module_from_spec(importlib.util.spec_from_loader("pairs", loader))
loader.exec_module(pairs)
leaky = sys.argv[2] == "leaky"

stdin, turn = open(0, "rb", buffering=0, closefd=False), bytearray(1)


def step(word):
    """Nothing is allocated here: what stands in the test's mark must not depend on how far this is by then."""
    os.write(1, word)
    while stdin.readinto(turn) and turn != b"\n":
        pass


class Response:
    __slots__ = ("headers",)  # up to CPython 3.10 a dict of its own would be allocated where it is filled

    def __init__(self):
        self.headers = pairs.Pairs()  # row: growth=1078000/3000

    def send(self):
        self.headers.visit(leaky)


def serve(requests):
    for _ in range(requests):
        Response().send()


step(b"ready\n")
serve(3000)  # CPython 3.8 to 3.10 make a cache for a code object that has run 1,024 times
step(b"warm\n")
serve(1000)
step(b"served\n")
