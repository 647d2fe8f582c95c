"""Damage to files, for the tests: flipped bits, wrong bytes, cuts, lengths that lie, edits of the JSON."""

import json
import os
import zlib

import safetensors

from nn import files

JUNK = (None, 0, -1, 1.5, 2**31, 2**64, "", "é" * 5000, [], {}, {"a": 1}, True, [0] * 70, [0, 2**62, 2**62],
        "0" * 8, "[" * 5000, '{"a":' * 3000, "NaN", float("inf"))


def split(content):
    """(header, data) of a safetensors file."""
    size = int.from_bytes(content[:8], "little")
    return json.loads(content[8:8 + size]), content[8 + size:]


def join(header, data):
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def summed(content):
    """With the checksum that is right for what it holds, if it can have one."""
    try:
        arrays = {name: files._array(name, **tensor) for name, tensor in safetensors.deserialize(content)}
        header, data = split(content)
        entry = json.loads(header["__metadata__"]["espalier"])
        entry.pop("crc32", None)
        entry["crc32"] = files._checksum(arrays, entry)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, safetensors.SafetensorError):
        return content
    header["__metadata__"]["espalier"] = json.dumps(entry)
    return join(header, data)


def flipped(content, random):
    """Damage that knows nothing of the format."""
    new = bytearray(content)
    at, how = random.randrange(len(new)), random.randrange(6)
    if how == 0:
        new[at] ^= 1 << random.randrange(8)
    elif how == 1:
        new[at] = random.randrange(256)
    elif how == 2:
        del new[at:]
    elif how == 3:
        del new[at:at + random.randrange(1, 9)]
    elif how == 4:
        new[at:at] = os.urandom(random.randrange(1, 9))
    else:
        lie = random.choice([0, 1, 2**16, 2**32, 2**63, 2**64 - 1, len(new), len(new) - 8])
        new[:8] = lie.to_bytes(8, "little")
    return bytes(new)


def edited(content, random):
    """An edit of the header of a safetensors file, of our entry in it or of JSON in that, or of a Program's
    description.

    Often the checksum is made right for it.
    """
    header, data = split(content)
    entry, depth = json.loads(header["__metadata__"]["espalier"]), random.randrange(3)
    if depth == 0:
        return join(_edit(header, random), data)
    inner = [name for name in ("progress", "run") if name in entry]
    if depth == 2 and ".program" in header:
        data = _described(header, data, random)
    elif depth == 1 or not inner:
        _edit(entry, random)
    else:
        name = random.choice(inner)
        entry[name] = json.dumps(_edit(json.loads(entry[name]), random))
    header["__metadata__"]["espalier"] = json.dumps(entry)
    content = join(header, data)
    return content if random.randrange(5) == 0 else summed(content)


def _described(header, data, random):
    """The data of a Program with an edit of its description; the header's offsets follow."""
    first, last = header[".program"]["data_offsets"]
    edit = _edit(json.loads(zlib.decompress(data[first:last])), random)
    packed = zlib.compress(json.dumps(edit).encode())
    more = len(packed) - (last - first)
    for name, tensor in header.items():
        if name != "__metadata__":
            tensor["data_offsets"] = [at + more * (at >= last) for at in tensor["data_offsets"]]
    header[".program"] = {"dtype": "U8", "shape": [len(packed)], "data_offsets": [first, first + len(packed)]}
    return data[:first] + packed + data[last:]


def _edit(tree, random):
    """One place in JSON is removed, renamed, given a neighbour, or another value."""
    places = [*_places(tree)]
    if not places:
        return random.choice(JUNK)
    inside, key = random.choice(places)
    how = random.randrange(4)
    if how == 0:
        del inside[key]
    elif how == 1 and isinstance(inside, dict):
        new = random.choice([f"{key}x", key[:-1], "crc32", "espalier", "__metadata__"])
        inside[new] = inside.pop(key)
    elif how == 2 and isinstance(inside, dict):
        inside[random.choice(["new", "format", "a" * 9000])] = random.choice(JUNK)
    elif how == 3 and type(inside[key]) in (int, float):
        inside[key] += random.choice([-1, 1, 2**32, -(2**40), 0.5])
    else:
        inside[key] = random.choice(JUNK)
    return tree


def _places(tree):
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in [*pairs]:
        yield tree, key
        yield from _places(value)
