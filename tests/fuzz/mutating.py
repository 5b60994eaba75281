"""Do to a workspace what strangers, broken disks and slips of the hand do: one mutation for each seed."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import socket
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.fuzz.building import Places

DEEP = 100_000
HUGE = 1_000_000  # digits, characters

# JSON as text, since Python would not write some of it.
VALUES = (
    *("null", "true", "0", "-1", "1.5", "-0.0", "1e308", "1e999", "-1e999", "NaN", "Infinity"),
    *('""', '"x"', "[]", "{}", "[null]", '{"":null}', "[[],{}]", '{"$dict":1}', '{"$float":"nan"}', '{"$asset":"x"}'),
    *(str(2**31), str(2**53 + 1), str(2**63), str(2**64), str(-(2**63) - 1), "9" * 400, "9" * 4300, "9" * 4301),
    *("9" * HUGE, "-" + "1" * HUGE, "0." + "3" * HUGE),
    *('"' + "x" * HUGE + '"', '"\\ud800"', '"\\u0000"', '"\\u001b]0;owned\\u0007"', '"\\u202e"'),
    *("[" * 300 + "]" * 300, '{"a":' * 300 + "1" + "}" * 300, "[" * DEEP + "]" * DEEP),
    *('"../../../outside/a.json"', '"/etc/passwd"', '"outside"', '"projects/../../outside/a.json"', '"."', '"a/"'),
    *(
        '"succeeded"',
        '"running"',
        '"2026-13-45T99:99:99Z"',
        '"9999-12-31T23:59:59-23:59"',
        '"0001-01-01T00:00:00+23:59"',
    ),
    *("[" + "0," * 100_000 + "0]", "{" + ",".join(f'"k{n}":{n}' for n in range(20_000)) + "}"),
)

NAMES = (b"x" * 255, b"\xff\xfe", b"a\nb", b" ", b"...", b"-rf", b"\x1b[31m", b"con", b"1.json", b"0.json", b"2.jsonl")

_TOKEN = re.compile(r"[0-9a-f]{8,}|\d{8}-\d{6}-\d{6}")

Mutation = Callable[[random.Random, Places], tuple[str, str]]
"""Does it; returns what was done and to which path below the case's folder."""


def mutate(choice: random.Random, places: Places) -> tuple[str, str]:
    """One mutation; what it was, and where."""
    kinds: tuple[tuple[Mutation, int], ...] = (
        (change_bytes, 30),
        (change_json, 38),
        (change_tree, 24),
        (change_index, 6),
        (change_settings, 2),
    )
    (act,) = choice.choices([act for act, _ in kinds], [weight for _, weight in kinds])
    return act(choice, places)


def _files(root: Path) -> list[Path]:
    found = [Path(at, name) for at, _, names in os.walk(root) for name in names]
    return sorted((path for path in found if path.is_file() and not path.is_symlink()), key=_order)


def _folders(root: Path) -> list[Path]:
    return sorted((Path(at) for at, _, _ in os.walk(root)), key=_order)


def _order(path: Path) -> tuple[str, int]:
    """The same order for workspaces that were built in the same way: tokens are random, what came first is not."""
    return _TOKEN.sub("#", str(path)), path.lstat().st_mtime_ns


def _one(choice: random.Random, places: Places) -> Path:
    """A file of the workspace, each sort as often as any other."""
    files = _files(places.lab)
    sorts: dict[str, list[Path]] = {}
    for path in files:
        sorts.setdefault(_sort(path.relative_to(places.lab)), []).append(path)
    return choice.choice(sorts[choice.choice(sorted(sorts))])


def _sort(path: Path) -> str:
    """Name the sort of a file: its folder's name and its own, without what is random."""
    return _TOKEN.sub("#", f"{path.parent.name}/{path.name}")


def _below(path: Path, places: Places) -> str:
    return os.fsencode(path.relative_to(places.base)).decode(errors="backslashreplace")


# ----------------------------------------------------------------------------------------------------------------- bytes


def change_bytes(choice: random.Random, places: Places) -> tuple[str, str]:
    """Change the bytes of a file, whatever they mean."""
    path = _one(choice, places)
    data = path.read_bytes()
    what, new = _other_bytes(choice, data, places)
    path.write_bytes(new)
    return what, _below(path, places)


def _other_bytes(choice: random.Random, data: bytes, places: Places) -> tuple[str, bytes]:
    at, to = sorted(choice.randrange(len(data) + 1) for _ in range(2))
    flipped = bytearray(data or b"\0")
    for _ in range(choice.randrange(1, 4)):
        flipped[choice.randrange(len(flipped))] ^= 1 << choice.randrange(8)
    other = choice.choice(_files(places.lab)).read_bytes()
    lines = data.splitlines(keepends=True)
    choice.shuffle(lines)
    ways = (
        ("bits flipped", bytes(flipped)),
        (f"truncated to {at}", data[:at]),
        ("emptied", b""),
        ("twice", data * 2),
        (f"{at}..{to} twice", data[:to] + data[at:]),
        (f"{at}..{to} removed", data[:at] + data[to:]),
        (f"{at}..{to} zeros", data[:at] + bytes(to - at) + data[to:]),
        ("another file's", other),
        (f"another file's from {at}", data[:at] + other),
        ("zeros", bytes(len(data))),
        ("zeros around it", bytes(50) + data + bytes(50)),
        ("zeros before its lines", data.replace(b"\n", b"\n" + bytes(50))),
        ("a byte order mark", b"\xef\xbb\xbf" + data),
        ("UTF-16", data.decode("latin-1").encode("utf-16")),
        ("not UTF-8", data[:at] + b"\xff\xc0\x80" + data[at:]),
        ("a line without end", data + b"x" * 3_000_000),
        ("blanks", b" " * 1_000_000 + data),
        ("opening brackets", b"[" * DEEP),
        ("lines in another order", b"".join(lines)),
        ("a megabyte of newlines", data + b"\n" * 1_000_000),
    )
    return choice.choice(ways)


# ------------------------------------------------------------------------------------------------------------------ JSON


def change_json(choice: random.Random, places: Places) -> tuple[str, str]:
    """Change what a document says, so that it still is one."""
    path = _one(choice, places)
    for _ in range(20):
        if path.suffix in (".json", ".jsonl"):
            break
        path = _one(choice, places)
    lines = path.read_bytes().splitlines() if path.suffix == ".jsonl" else [path.read_bytes()]
    number = choice.randrange(len(lines)) if lines else 0
    try:
        document = json.loads(lines[number])
    except (ValueError, IndexError):
        path.write_text(choice.choice(VALUES))
        return "another document", _below(path, places)
    what, text = _other_document(choice, document)
    lines[number] = text.encode()
    path.write_bytes(b"\n".join(lines) + b"\n")
    return f"line {number + 1}: {what}", _below(path, places)


def _spots(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a document."""
    yield path
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, member in members:
        yield from _spots(member, (*path, name))


def _other_document(choice: random.Random, document: Any) -> tuple[str, str]:
    *above, last = choice.choice([spot for spot in _spots(document) if spot] or [(None,)])
    if last is None or choice.random() < 0.02:
        text = choice.choice(VALUES)
        return f"all of it is {text:.40}", text
    place = document
    for step in above:
        place = place[step]
    spot = ".".join(map(str, (*above, last)))
    way = choice.choice(["value", "value", "value", "value", "remove", "add", "twice", "other"])
    mark = "\0mark\0"
    text = choice.choice(VALUES)
    if way == "remove":
        del place[last]
    elif way == "add" and isinstance(place, dict):
        place[choice.choice(["", "type", "schema", "$float", "key", "x" * 1000, "\x1b[31m", "a.b"])] = mark
    elif way == "twice" and isinstance(place, dict):
        place[mark] = place[last]
        return f"{spot} twice, first {text:.40}", json.dumps(document).replace(json.dumps(mark), json.dumps(str(last)))
    elif way == "other":
        other = document
        for step in choice.choice([*_spots(document)]):
            other = other[step]
        place[last] = json.loads(json.dumps(other))
    else:
        place[last] = mark
        way = "value"
    return f"{spot}: {way} {text:.40}", json.dumps(document).replace(json.dumps(mark), text)


# ------------------------------------------------------------------------------------------------------------------ tree


def change_tree(choice: random.Random, places: Places) -> tuple[str, str]:
    """Put something else where a file or a folder was, or something more beside it."""
    folders = _folders(places.lab)
    path = choice.choice(folders[1:]) if choice.random() < 0.5 else _one(choice, places)
    way = choice.choice(("instead", "instead", "beside", "removed", "renamed", "owner"))
    if way == "owner":
        return _given_away(choice, path), _below(path, places)
    if way == "renamed":
        name = choice.choice(NAMES)
        target = os.path.join(os.fsencode(path.parent), name)
        if not os.path.lexists(target):
            os.rename(path, target)
        return f"renamed to {name!r:.40}", _below(path, places)
    if way == "beside":
        path = choice.choice(folders)
        path = Path(os.fsdecode(os.path.join(os.fsencode(path), choice.choice([*NAMES, b"loop", b"new", b"x.json"]))))
    if way in ("removed", "instead") or os.path.lexists(path):
        _clear(path)
    what = "nothing" if way == "removed" else _thing(choice, path, places)
    return f"{way}: {what}", _below(path, places)


def _clear(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()


def _given_away(choice: random.Random, path: Path) -> str:
    mode = choice.choice((0o000, 0o444, 0o777, 0o200))
    os.chmod(path, mode)
    if os.geteuid() == 0:
        os.chown(path, 12345, 12345)
    return f"somebody else's, mode {mode:o}"


def _thing(choice: random.Random, path: Path, places: Places) -> str:
    things = ("file outside", "folder outside", "loop", "above", "nowhere", "zero", "fifo", "socket", "folder", "file")
    thing = choice.choice((*things, "junk", "machine"))
    outside = [*_files(places.outside), *_folders(places.outside)]
    named = [found for found in outside if found.name == path.name]
    target: Path | str
    match thing:
        case "file outside" | "folder outside":
            wanted = Path.is_file if thing == "file outside" else Path.is_dir
            target = choice.choice([found for found in named or outside if wanted(found)] or outside)
            if choice.random() < 0.5:
                target = os.path.relpath(target, path.parent)
        case "loop":
            target = path.name
        case "above":
            target = choice.choice(("..", "../..", str(places.lab)))
        case "nowhere":
            target = "nowhere/at/all"
        case "zero":
            target = "/dev/zero"
        case "machine":
            target = "/sys"  # large, and nothing in it can be deleted
        case _:
            return _made(choice, thing, path)
    os.symlink(target, path)
    return f"a link to {target}"


def _made(choice: random.Random, thing: str, path: Path) -> str:
    if thing == "fifo":
        os.mkfifo(path)
    elif thing == "socket":
        here = os.getcwd()
        os.chdir(path.parent)  # a socket's path is short
        try:
            with socket.socket(socket.AF_UNIX) as server:
                server.bind(os.fsencode(path.name)[:100])
        finally:
            os.chdir(here)
    elif thing == "folder":
        path.mkdir()
        if choice.random() < 0.5:
            (path / choice.choice(["run.json", "1.json", "x"])).write_text("{}")
    else:
        path.write_text({"file": "", "junk": choice.choice(VALUES)[:1000]}[thing])
    return thing


# -------------------------------------------------------------------------------------------------- what is not the record


def change_index(choice: random.Random, places: Places) -> tuple[str, str]:
    """Change the reader's own index."""
    files = _files(places.cache)
    path = choice.choice([file for file in files if file.suffix == ".sqlite3"] or files)
    way = choice.choice(("bytes", "rows", "tree"))
    if way == "bytes":
        what, new = _other_bytes(choice, path.read_bytes(), places)
        path.write_bytes(new)
    elif way == "tree":
        _clear(path)
        what = _thing(choice, path, places)
    else:
        what = _other_rows(choice, path)
    return what, _below(path, places)


def _other_rows(choice: random.Random, path: Path) -> str:
    connection = sqlite3.connect(path)
    tables = [
        name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
    ]
    table = choice.choice(tables)
    columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    column = choice.choice(columns)
    sql = choice.choice(
        (
            f"DELETE FROM {table}",
            f"DROP TABLE {table}",
            f"UPDATE {table} SET {column} = NULL",
            f"UPDATE {table} SET {column} = 7",
            f"UPDATE {table} SET {column} = 'x'",
            f"UPDATE {table} SET {column} = x'00ff'",
            f"DELETE FROM {table} WHERE rowid = (SELECT max(rowid) FROM {table})",
        )
    )
    try:
        with connection:
            connection.execute(sql)
    except sqlite3.Error as error:
        sql += f" (refused: {error})"
    finally:
        connection.close()
    return sql


def change_settings(choice: random.Random, places: Places) -> tuple[str, str]:
    """Change the user's ``storage.toml``."""
    path = places.config / "storage.toml"
    data = path.read_bytes()
    if choice.random() < 0.5:
        what, new = _other_bytes(choice, data, places)
        path.write_bytes(new)
    else:
        what = choice.choice(VALUES)
        path.write_text(f'["s3://"]\nregion = {what}\n["{places.lab}"]\ndurability = {what}\n')
    return f"{what:.40}", _below(path, places)
