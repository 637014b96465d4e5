"""Objects that another thread drops than the one that made them."""
import os
import threading

KEPT = [None] * 31


def put():
    for place in range(31):
        KEPT[place] = bytes(100)  # put


def drop():
    for place in range(30):
        KEPT[place] = None  # drop


def step(word):
    os.write(1, word + b"\n")
    while os.read(0, 1) not in (b"\n", b""):
        pass


step(b"warm")
put()
thread = threading.Thread(target=drop)
thread.start()
thread.join()
step(b"done")
