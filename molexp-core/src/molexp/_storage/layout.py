"""The layout of a workspace: functions that spell every key, and the ids of assets.

A *path* names an entity for people: ``""`` the workspace, ``metals``, ``metals/cu``, ``metals/cu/cu-large``. A *folder*
is the key prefix that belongs to it. `molexp._storage.key_patterns` has the regular expressions that recognise keys.
"""

from __future__ import annotations

from functools import lru_cache

from molexp._storage import key_patterns
from molexp._values.ids import is_id
from molexp._values.numbers import is_number
from molexp._values.patterns import late

WORKSPACE = "workspace.json"
SETTINGS = "settings"
PROVENANCE = "provenance"
PROJECTS = "projects"
EXECUTIONS = "executions"
EDITS = "edits"
DATA = "data"
JOURNALS = ".molexp/journals"
SEALED = ".molexp/sealed"
MENDED = ".molexp/mended"  # names that a killed process had only claimed were filled by those who wrote this
SNAPSHOTS = ".molexp/snapshots"
LIVE = ".molexp/live"
ARRIVING = ".molexp/arriving"
DERIVED = ".molexp"
SUBMISSIONS = "submissions"
JOB_OUTPUT = ".molexp/output"
JOB_OUTPUT_ELSEWHERE = ".molexp-output"

_OBJECT = late(key_patterns.JOURNAL_OBJECT)
_LEASE_NAME = 200  # characters, of the 255 bytes that a segment may take

ENTITIES = ("workspace", "project", "experiment", "run")
_LEVELS = ("projects", "experiments", "runs")


def depth(path: str) -> int:
    """Return how many names a path has: 0 for the workspace, 3 for a run."""
    return path.count("/") + 1 if path else 0


def is_run(path: str) -> bool:
    """Tell whether a path is a run's."""
    return path.count("/") == 2


def is_experiment(path: str) -> bool:
    """Tell whether a path is an experiment's."""
    return path.count("/") == 1


@lru_cache(maxsize=1024)
def folder(path: str) -> str:
    """Return the folder of the entity at `path`; "" for the workspace."""
    if not path:
        return ""
    names = path.split("/")
    if len(names) == len(_LEVELS):  # of runs there are most
        return f"projects/{names[0]}/experiments/{names[1]}/runs/{names[2]}"
    return "/".join(f"{level}/{name}" for level, name in zip(_LEVELS, names, strict=False))


@lru_cache(maxsize=1024)
def document(path: str) -> str:
    """Return the key of the document that makes the entity at `path` exist."""
    return f"{folder(path)}/{ENTITIES[path.count('/') + 1]}.json" if path else WORKSPACE


def definition_key(path: str, number: int) -> str:
    """Return the key of a definition of a run or an experiment: the first one is its document.

    Later ones are the revisions of an experiment, and what a run has if the keys before were fenced.
    """
    key = document(path)
    return key if number == 1 else f"{key.removesuffix('.json')}.{number}.json"


def below(path: str, name: str) -> str:
    """Return the key `name` in the folder of the entity at `path`."""
    return f"{folder(path)}/{name}" if path else name


def members(path: str) -> str:
    """Return the folder that holds the entities one level below `path`."""
    return below(path, _LEVELS[depth(path)])


def edits(path: str) -> str:
    """Return the folder of the edits of the entity at `path`."""
    return below(path, EDITS)


def edit_key(path: str, edit_id: str) -> str:
    """Return the key of an edit of the entity at `path`."""
    return f"{edits(path)}/{edit_id}.json"


def is_edit(key: str) -> bool:
    """Tell whether a key, or a name in an entity's folder, is an edit's."""
    return "/edits/" in key or key.startswith("edits/")


def data_folder(path: str, name: str) -> str:
    """Return the folder of what was imported under a name into the entity at `path`."""
    return below(path, f"{DATA}/{name}")


def owner_of(key: str) -> str:
    """Return the path of the innermost entity that `key` lies in."""
    parts = key.split("/")
    path: list[str] = []
    for known, level, name in zip(_LEVELS, parts[0::2], parts[1:-1:2], strict=False):  # the last part names a file
        if level != known:
            break
        path.append(name)
    return "/".join(path)


def place(key: str) -> tuple[str, str]:
    """Return the path of the entity that `key` lies in, and the rest of the key; a name that is no id names no entity."""
    parts = key.split("/")
    if len(parts) > 6 and parts[4] == "runs" and parts[2] == "experiments" and parts[0] == "projects":
        path = f"{parts[1]}/{parts[3]}/{parts[5]}"  # of runs there are most
        if _are_ids(path):
            return path, "/".join(parts[6:])
    path = owner_of(key)
    while path and not _are_ids(path):
        path = path.rpartition("/")[0]
    return path, key.removeprefix(f"{folder(path)}/") if path else key


@lru_cache(maxsize=4096)
def _are_ids(path: str) -> bool:
    return all(is_id(part) for part in path.split("/"))


def asset_id(scope: str, attempt: int | None, kind: str, name: str, version: int) -> str:
    """Spell an asset's id: ``metals/cu/cu-1#2:artifact:volumes.json@1``, ``metals/cu:data:reference@3``."""
    place = f"{scope or '.'}#{attempt}" if attempt is not None else scope or "."
    return f"{place}:{kind}:{name}@{version}"


def parse_asset_id(text: str) -> tuple[str, int | None, str, str, int]:
    """Return scope, attempt, kind, name and version of an id.

    Raises:
        ValueError: it is not one.
    """
    place, _, rest = text.partition(":")
    kind, _, named = rest.partition(":")
    name, _, version = named.rpartition("@")
    scope, _, attempt = place.partition("#")
    parts = [] if scope == "." else scope.split("/")
    parts[2:] = [part.lower() for part in parts[2:]]  # as in the path of a run
    known = all(map(is_id, parts)) and (len(parts) == 3 and is_number(attempt) if "#" in place else len(parts) < 3)
    if not (place and known and kind and name and is_number(version)):
        raise ValueError(f"{text!r} is no asset id; one looks like 'metals/cu/cu-1#2:artifact:volumes.json@1'.")
    return "/".join(parts), int(attempt) if attempt else None, kind, name, int(version)


def executions(run_folder: str) -> str:
    """Return the folder of a run's attempts."""
    return f"{run_folder}/executions"


def claim_name(attempt: int) -> str:
    """Return the name of an attempt's claim in the folder of attempts."""
    return f"{attempt}.jsonl"


def end_name(attempt: int) -> str:
    """Return the name of an attempt's end in the folder of attempts."""
    return f"{attempt}.end.json"


def is_end(key: str) -> bool:
    """Tell whether the key of a document of a run, or its name, is that of an attempt's end."""
    return key.endswith(".end.json")


def claim_key(run_folder: str, attempt: int) -> str:
    """Return the key of an attempt's claim, to which its events are appended."""
    return f"{run_folder}/executions/{attempt}.jsonl"


def end_key(run_folder: str, attempt: int) -> str:
    """Return the key of an attempt's end."""
    return f"{run_folder}/executions/{attempt}.end.json"


def copy_keys(run_folder: str, attempt: int) -> tuple[str, str]:
    """Return the keys of a copy of an attempt that goes on elsewhere: the time of the copy, and the events until then."""
    return f"{run_folder}/executions/{attempt}.copy.json", f"{run_folder}/executions/{attempt}.copy.jsonl"


def segments(run_folder: str, attempt: int) -> str:
    """Return the folder of an attempt's events where nothing can be appended."""
    return f"{run_folder}/executions/{attempt}.s"


def segment_key(log: str, number: int) -> str:
    """Return the key of a segment of a log that nothing can be appended to."""
    return f"{log}-{number:06d}.jsonl"


def writer_name(attempt: int, token: str) -> str:
    """Return the name, below the folder of attempts, of the file of events of one of an attempt's other writers."""
    return f"{attempt}/w-{token}.jsonl"


def payloads(run_folder: str, attempt: int) -> str:
    """Return the folder of an attempt's artifacts, logs and checkpoints."""
    return run_folder if attempt == 1 else f"{run_folder}/executions/{attempt}"


def blocks_of(metrics: str) -> str:
    """Return the key under which lie, derived, the blocks of a file of metrics."""
    return f"{metrics}.blocks"


def provenance(known: object) -> str:
    """Return the key of the document of a provenance, by its id."""
    return f"{PROVENANCE}/{known}.json"


def lease(path: str, attempt: int) -> str:
    """Return the key of an attempt's lease; for ids too long for one segment, a hash stands for them."""
    from hashlib import sha256

    name = path.replace("/", "~") if len(path) <= _LEASE_NAME else sha256(path.encode()).hexdigest()
    return f"{LIVE}/{name}~{attempt}"


def leased(key: str) -> str:
    """Return the path of the run whose attempt has this lease; "" where a hash stands for it, or the key is foreign."""
    parts = key.rpartition("/")[2].split("~")
    return "/".join(parts[:3]) if len(parts) == len(_LEVELS) + 1 and is_number(parts[3]) else ""


def writer_of_journal(name: str) -> str:
    """Return the token of the writer whose journal, or part of one, bears this name."""
    match = _OBJECT.fullmatch(name)
    return match[1] if match else name.removesuffix(".jsonl")


def is_journal_object(name: str) -> bool:
    """Tell whether a journal's name is that of a numbered object, which never grows."""
    return _OBJECT.fullmatch(name) is not None


def number_of_journal(name: str) -> int:
    """Return the number of the object that bears this name; 0 for a journal that grows."""
    match = _OBJECT.fullmatch(name)
    return int(match[2]) if match else 0


def submission_key(submission: str, part: str = "") -> str:
    """Return the key of a submission, or of its part: ``.job`` is what the engine answered, ``.end`` its end."""
    return f"{SUBMISSIONS}/{submission}{part}.json"


def asked_key(submission: str) -> str:
    """Return the key under which lies, derived, when the engine was last asked and what it said."""
    return f"{DERIVED}/asked/{submission}.json"
