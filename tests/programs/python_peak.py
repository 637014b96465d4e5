"""A heap of Python objects that rises and falls; says tracemalloc's own figures where that was asked to trace."""
import sys

def step(word):
    sys.stdout.write(word + "\n")
    sys.stdout.flush()
    return sys.stdin.readline().strip()

def rise():
    numbers = [(number, str(number)) for number in range(60000)]
    texts = {text: bytes(200) for _, text in numbers[::3]}
    return len(numbers) + len(texts)

if "tracemalloc" in sys._xoptions:
    import tracemalloc
    before, _ = tracemalloc.get_traced_memory()
    rise()
    print(tracemalloc.get_traced_memory()[1] - before)
else:
    step("ready")
    rise()
    step("done")
