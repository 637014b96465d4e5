"""A Python program that keeps a thumbnail of every image it has ever shown.

The right answer: the line of `show` that makes the thumbnail grows by 4,133 bytes and a block for each image: 4,100 bytes of
data and Python's 33 around them. The image itself is as large as ten of them, and gone when `show` returns. The list grows
by 8 bytes an image, with room for some more.
"""
import sys

history = []


def show(number):
    # row: growth=0/0 function=show
    image = bytearray(40_990)
    # row: growth=4133000/1000 function=show
    thumbnail = bytes(image[::10]) + bytes([number % 256])
    # row: function=show
    history.append(thumbnail)


print("ready", flush=True)
# row: function=<module>
for line in sys.stdin:
    # row: function=<module>
    for number in range(1000):
        # row: function=<module>
        show(number)
    # row: function=<module>
    print("shown", flush=True)
