"""A large program: between two steps it loads a third of its standard library, and keeps it."""
import importlib
import sys

NAMES = """argparse ast asyncio calendar cgi code codeop collections.abc colorsys concurrent.futures configparser contextlib csv ctypes
dataclasses datetime decimal difflib dis doctest email.mime.multipart email.parser enum fileinput fractions ftplib gettext glob graphlib gzip
hashlib hmac html.parser http.client http.cookiejar http.server imaplib inspect ipaddress json linecache locale logging.config lzma mailbox
mimetypes multiprocessing.pool netrc numbers optparse pathlib pdb pickle pickletools plistlib poplib pprint profile pstats py_compile pyclbr
pydoc queue random sched secrets selectors shelve shlex shutil smtplib socketserver sqlite3 ssl statistics string subprocess symtable
tarfile tempfile textwrap timeit tokenize trace traceback tracemalloc types typing unittest.mock urllib.request uuid wave weakref wsgiref.simple_server
xml.dom.minidom xml.etree.ElementTree xml.sax xmlrpc.client xmlrpc.server zipapp zipfile""".split()


def step(word):
    sys.stdout.write(word + "\n")
    sys.stdout.flush()
    return sys.stdin.readline().strip()


def load(name):
    try:
        return importlib.import_module(name)
    except ImportError:  # not in every build
        return None


step("ready")
kept = [load(name) for name in NAMES]
step("loaded")
