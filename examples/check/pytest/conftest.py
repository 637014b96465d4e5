"""For `heapshim check`: `--times N` runs each test's function N times, and the mark `end` comes before the interpreter gives back what modules hold."""

import ctypes

import pytest


def pytest_addoption(parser):
    parser.addoption("--times", type=int, default=1)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    names = pyfuncitem._fixtureinfo.argnames
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    for _ in range(pyfuncitem.config.getoption("--times") - 1):
        pyfuncitem.obj(**arguments)


def pytest_sessionfinish():
    mark = getattr(ctypes.CDLL(None), "heapshim_mark", None)
    if mark:
        mark(b"end")
