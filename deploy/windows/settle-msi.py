#!/usr/bin/env python3
"""Gives an MSI a package code and times that wixl otherwise makes up anew each time: settle-msi.py FILE {CODE} EPOCH

Both are in its summary, a property set ([MS-OLEPS]) of a few hundred bytes that is written in one piece.
"""

import struct
import sys
from pathlib import Path

# FMTID_SummaryInformation, as it is stored.
SUMMARY = bytes.fromhex("e0859ff2f94f6810ab9108002b27b3d9")
REVISION, CREATED, SAVED = 9, 12, 13
# From 1601, in 100 ns.
UNIX_EPOCH = 116_444_736_000_000_000


def main():
    path, code, epoch = sys.argv[1:]
    content = bytearray(Path(path).read_bytes())
    if content.count(SUMMARY) != 1:
        sys.exit(f"error: {path} has no summary, or several")
    at = content.index(SUMMARY)
    # The set's offset counts from its header, of 28 bytes before the identifier.
    section = at - 28 + struct.unpack_from("<I", content, at + 16)[0]
    values = {
        REVISION: struct.pack("<II", 0x1E, len(code) + 1) + code.encode() + b"\0",
        CREATED: struct.pack("<IQ", 0x40, int(epoch) * 10_000_000 + UNIX_EPOCH),
    }
    values[SAVED] = values[CREATED]
    count = struct.unpack_from("<I", content, section + 4)[0]
    for number in range(count):
        name, offset = struct.unpack_from("<II", content, section + 8 + 8 * number)
        if name in values:
            value = values.pop(name)
            place = section + offset
            length = 8 if name == REVISION else 4
            if content[place : place + length] != value[:length]:
                sys.exit(f"error: property {name} of {path}'s summary is of another kind or length")
            content[place : place + len(value)] = value
    if values:
        sys.exit(f"error: {path}'s summary lacks the properties {sorted(values)}")
    Path(path).write_bytes(content)


if __name__ == "__main__":
    main()
