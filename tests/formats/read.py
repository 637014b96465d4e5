"""Prints what a .heapledger, .heapmark or .heaptrace comes to, as JSON.

Written from docs/LEDGER.md, docs/MARK.md and docs/TRACE.md alone, and from no code of heapshim's: where these say too little or something false, it fails.
Called by tests/suite/formats.rs, which compares its numbers with the command's.
"""
import json
import sys

import ledger
import mark
import recording

READERS = {"heapledger": ledger.summary, "heapmark": mark.summary, "heaptrace": recording.summary}

path = sys.argv[1]
with open(path, "rb") as file:
    json.dump(READERS[path.rsplit(".", 1)[1]](file.read()), sys.stdout)
