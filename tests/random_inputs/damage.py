"""Random damage to JSON documents and to bytes."""

import copy
import json
import sys

HOSTILE = (
    None,
    True,
    False,
    0,
    1,
    -1,
    2,
    5,
    2.7,
    0.0,
    -0.0,
    1e-320,
    1e-12,
    1e308,
    -1e300,
    50,
    10**6,
    2**31,
    2**32 + 1,
    -(2**31),
    2**63,
    10**400,
    float("nan"),
    float("inf"),
    "",
    "1",
    "Si",
    "X",
    "*",
    "two-body",
    "four-body",
    "Gaussian",
    "\ud800",
    "é" * 50,
    [],
    {},
    [[]],
    [1, 1, 0, 5],
    [20, 20, 20],
    [0, 0, 1],
    ["Si", "Si"],
    {"a": 1},
)


def _paths(value, path=()):
    """All places in a JSON document."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _paths(item, (*path, key))


def _place(document, path):
    for key in path[:-1]:
        document = document[key]
    return document


def mutate_document(rng, document):
    """A JSON document with one to three changes of its structure or values."""
    document = copy.deepcopy(document)
    for _ in range(int(rng.choice([1, 1, 1, 2, 3]))):
        paths = list(_paths(document))[1:]
        if not paths:
            break
        # The top of the document is as likely as all of its terms.
        top = [path for path in paths if len(path) <= 2]
        path = choose(rng, top if rng.random() < 0.3 else paths)
        owner, key = _place(document, path), path[-1]
        kind = rng.integers(8)
        if kind <= 3:
            owner[key] = copy.deepcopy(HOSTILE[rng.integers(len(HOSTILE))])
        elif kind == 4:
            del owner[key]
        elif kind == 5:
            other = choose(rng, paths)
            try:
                owner[key] = copy.deepcopy(_place(document, other)[other[-1]])
            except (KeyError, IndexError, TypeError):
                pass
        elif kind == 6:
            value = owner[key]
            if isinstance(value, float) or type(value) is int and abs(value) < 2**63:
                owner[key] = value * float(rng.choice([-1.0, 1e-30, 1e30, 1.0000001, 0.5, 100.0]))
            elif isinstance(value, list) and value:
                value.append(copy.deepcopy(choose(rng, value)))
            elif isinstance(value, dict):
                value["unknown"] = 1
            else:
                owner[key] = [value]
        else:
            value = owner[key]
            if isinstance(value, list) and len(value) > 1:
                rng.shuffle(value)
            else:
                depth = int(rng.choice([1, 3, 2000]))
                for _ in range(depth):
                    value = [value] if rng.random() < 0.5 else {"a": value}
                owner[key] = value
                if depth > 100:  # too deep for what looks for another place
                    break
    return document


def choose(rng, items):
    return items[rng.integers(len(items))]


def dump_document(document):
    """JSON as bytes; deep documents too."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(20000)
    try:
        return json.dumps(document).encode("utf-8", "surrogatepass")
    finally:
        sys.setrecursionlimit(limit)


def mutate_bytes(rng, data):
    """Bytes with something flipped, cut, doubled or put in."""
    data = bytearray(data)
    for _ in range(int(rng.choice([1, 1, 2, 8]))):
        if not data:
            break
        at, kind = int(rng.integers(len(data))), rng.integers(6)
        if kind == 0:
            data[at] ^= 1 << rng.integers(8)
        elif kind == 1:
            data[at] = rng.integers(256)
        elif kind == 2:
            del data[at : len(data) if rng.random() < 0.3 else at + int(rng.integers(1, 20))]
        elif kind == 3:
            data[at:at] = data[max(0, at - int(rng.integers(1, 60))) : at]
        elif kind == 4:
            parts = (
                b"NaN",
                b"-Infinity",
                b"1e999",
                b"\x00",
                b"\xef\xbb\xbf",
                b"//",
                b",",
                b"[" * 5000,
                b'"',
                b"-",
                b"00",
            )
            data[at:at] = choose(rng, parts)
        else:
            digits = [k for k in range(len(data)) if 48 <= data[k] <= 57]
            if digits:
                data[choose(rng, digits)] = int(rng.integers(48, 58))
    return bytes(data)
