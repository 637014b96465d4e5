"""A shop that leaks, for pictures: each line of stdin is a round of customers."""
import json
import sys

ORDER = '{"customer": %d, "paid": true, "items": ["tea", "cups", "sugar", "milk"]}'


class Session:
    def __init__(self, number):
        self.cart = {"customer": number, "items": []}
        self.page = bytearray(2048)


sessions = {}
audit = []
warehouse = [bytes(8192) for _ in range(400)]


def log_in(number):
    sessions[number % 700, number // 1400] = Session(number)


def order(number):
    text = ORDER % number
    audit.append(json.loads(text))


def deliver():
    del warehouse[-20:]


def round_of_customers(first):
    for number in range(first, first + 500):
        log_in(number)
        order(number)
    deliver()


print("ready", flush=True)
for count, _ in enumerate(sys.stdin):
    round_of_customers(500 * count)
    print("served", flush=True)
