"""A server's response, whose headers are kept by an extension module (leaky_extension.c): python_leak.py EXTENSION leaky|fixed"""
import importlib.machinery
import importlib.util
import os
import sys

loader = importlib.machinery.ExtensionFileLoader("pairs", sys.argv[1])
pairs = importlib.util.module_from_spec(importlib.util.spec_from_loader("pairs", loader))
loader.exec_module(pairs)
leaky = sys.argv[2] == "leaky"


def step(word):
    os.write(1, word + b"\n")
    while os.read(0, 1) not in (b"\n", b""):
        pass


class Response:
    def __init__(self):
        self.headers = pairs.Pairs()  # row: growth=1078000/3000

    def send(self):
        self.headers.visit(leaky)


def serve(requests):
    for _ in range(requests):
        Response().send()


step(b"ready")
serve(1000)
step(b"warm")
serve(1000)
step(b"served")
