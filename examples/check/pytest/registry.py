"""Who asked for what; nobody forgets."""

CALLS = []


def call(name):
    CALLS.append(name.upper() * 100)
    return len(name)
