"""A block that a finalizer asks for, whose object the interpreter's C code ends in the middle of a function."""


class Ending:
    def __del__(self):
        bytearray(3_000_001)


def out():
    ending = Ending()
    del ending


out()
