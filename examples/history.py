"""A Python program that keeps a thumbnail of every image it has ever shown.

The right answer: the line of `show` that makes the thumbnail grows by 4,133 bytes and a block for each image: 4,100 bytes of
data and Python's 33 around them. The image itself is as large as ten of them, and gone when `show` returns.
"""
import sys

history = []


def show(number):
    image = bytearray(40_990)
    thumbnail = bytes(image[::10]) + bytes([number % 256])
    history.append(thumbnail)


print("ready", flush=True)
for line in sys.stdin:
    for number in range(1000):
        show(number)
    print("shown", flush=True)
