"""Remember what trials of plugins found, in the cache folder, until something changes that a plugin consists of."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256

import msgspec
from msgspec.structs import asdict

from molexp._values.cache_place import cache_folder
from molexp.plugins._info import PluginInfo, Trial

TIMEOUT = "MOLEXP_PLUGIN_TIMEOUT"
ONGOING = "MOLEXP_PLUGIN_TRIAL"  # set in the process of a trial

_FORMAT = 2
_MOST_FILES = 2000  # of one package whose times of change are compared
_LARGEST = 1 << 20  # bytes of an answer; a larger file is not ours


def recall(plugin: PluginInfo) -> Trial | None:
    """Return what is remembered of a plugin, if it has not changed since."""
    return _remembered(plugin) if guarding() else None


def guarding() -> float:
    """Return the seconds that a trial may take; 0 where nothing is tried: in a trial, and on Windows, which cannot end one."""
    return 0.0 if os.environ.get(ONGOING) or not sys.executable or sys.platform == "win32" else _time_limit()


def _time_limit() -> float:
    """Return the seconds that a trial may take; 0 if nothing is to be tried.

    Raises:
        ValueError: the environment says something else than a number.
    """
    text = os.environ.get(TIMEOUT, "").strip() or "30"
    try:
        limit = float(text)
    except ValueError:
        limit = -1.0
    if not 0 <= limit < float("inf"):
        raise ValueError(f"{TIMEOUT}={text!r} is no number of seconds.")
    return limit


def _remembered(plugin: PluginInfo) -> Trial | None:
    """Return what the last trial of this very plugin found; None if there was none, or anything has changed since."""
    stamp, limit = stamp_of(plugin), guarding()
    for folder in _folders():
        with suppress(OSError, ValueError, TypeError, KeyError, RecursionError, msgspec.ValidationError):
            with open(_file(folder, plugin), "rb") as file:
                found = json.loads(file.read(_LARGEST))
            if found["stamp"] == stamp:
                trial = msgspec.convert(found["trial"], Trial)
                if not trial.refused or limit <= float(found["limit"]):  # else more time may be all that it needs
                    return trial
    return None


def remember(plugin: PluginInfo, trial: Trial, stamp: str, limit: float) -> None:
    """Keep what a trial found of a plugin with this stamp, in so many seconds, in the first folder that takes it."""
    answer = {"stamp": stamp, "plugin": str(plugin), "limit": limit, "trial": asdict(trial)}
    data = json.dumps(answer).encode()
    for folder in _folders(make=True):
        path = _file(folder, plugin)
        scratch = f"{path}.{os.getpid()}"
        try:
            with open(scratch, "xb") as file:
                file.write(data)
            os.replace(scratch, path)
        except OSError:
            with suppress(OSError):
                os.unlink(scratch)
        else:
            return


def _folders(*, make: bool = False) -> Iterator[str]:
    """Yield the folders that answers may lie in, which exist and are this user's: the cache, else the temporary one."""
    if cache := cache_folder():
        yield from _usable(os.path.join(cache, "plugins"), make=make, private=False)
    import tempfile

    with suppress(OSError):
        yield from _usable(
            os.path.join(tempfile.gettempdir(), f"molexp-plugins-{os.getuid()}"), make=make, private=True
        )


def _usable(folder: str, *, make: bool, private: bool) -> Iterator[str]:
    with suppress(OSError):
        if make:
            os.makedirs(folder, mode=0o700 if private else 0o777, exist_ok=True)
        status = os.lstat(folder)
        if not private or (status.st_uid == os.getuid() and not status.st_mode & 0o077 and os.path.isdir(folder)):
            yield folder


def _file(folder: str, plugin: PluginInfo) -> str:
    """Return the file of a plugin's answer: an installation in another environment has one of its own."""
    identity = [plugin.name, plugin.distribution, plugin.value, sys.prefix, sys.executable]
    return os.path.join(folder, f"{sha256(json.dumps(identity).encode()).hexdigest()[:24]}.json")


def stamp_of(plugin: PluginInfo) -> str:
    """Return a text that is another one once the plugin, its environment, the interpreter or MolExp changes."""
    own = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    parts: list[object] = [_FORMAT, str(plugin), plugin.value, sys.version, _time(own)]
    parts += [_time(entry) for entry in sys.path if os.path.basename(entry) in ("site-packages", "dist-packages")]
    if plugin.place:
        parts += [_time(os.path.join(plugin.place, name)) for name in ("", "METADATA", "RECORD", "entry_points.txt")]
    parts += _times_of_code(plugin.value)
    return sha256(json.dumps(parts).encode()).hexdigest()


def _time(path: str) -> tuple[int, int]:
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return (0, 0)
    return (status.st_mtime_ns, status.st_size)


def _times_of_code(value: str) -> list[object]:
    """Return the times of change of the modules of the package that an entry point refers to. Nothing is imported."""
    from importlib.util import find_spec

    try:
        spec = find_spec(value.partition(":")[0].strip().partition(".")[0])
    except Exception:  # noqa: BLE001 - a finder of somebody's; the trial itself will tell
        return []
    if spec is None:
        return []
    if spec.submodule_search_locations is None:
        return [spec.origin, _time(spec.origin or "")]
    found: list[object] = []
    for location in spec.submodule_search_locations:
        for folder, folders, names in os.walk(location):
            folders[:] = sorted(name for name in folders if name != "__pycache__")
            found += [
                (name, _time(os.path.join(folder, name))) for name in sorted(names) if name.endswith((".py", ".so"))
            ]
            if len(found) > _MOST_FILES:
                break
    return found
