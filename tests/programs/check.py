"""As check.c: modules that are imported at the second time, and a session that a leaky time keeps."""
import ctypes
import sys

count, leaky = int(sys.argv[1]), sys.argv[2] == "leaky"
sessions = {}
mark = ctypes.CDLL(None).heapshim_mark


def work(time):
    if time == 2:
        import decimal  # noqa: F401
    session = bytearray(4800)  # leak
    if leaky:
        sessions[time] = session


for time in range(1, count + 1):
    work(time)
    if time == 6:
        mark(b"steady")
mark(b"end")
