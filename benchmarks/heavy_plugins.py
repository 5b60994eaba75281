"""Compare processes with and without ten plugins whose modules are slow to import, in CPU time, taking turns.

The plugins are distributions in a folder of their own on the path: half of them declare their kinds, and import what is slow when a
kind is needed; the other half import it as soon as they are imported themselves.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from measure import Line
from start_up import COMMAND, TRACK, cpu_of

PLUGINS = 10
LIMIT = 1.05

_SLOW = """
import time
begin = time.process_time()
while time.process_time() < begin + 0.2: pass  # as long as large libraries take
class Thing: ...
"""
_KIND = """
import {name}_library
from molexp.contracts import AssetKind, NoFields
class Kind(AssetKind):
    name, types = "{name}", ("{name}_library.Thing",)
    def save(self, obj, sink):
        sink.write(b"heavy")
        return NoFields()
    def load(self, source): return None
"""
_DECLARING = """
from molexp import hookimpl
from molexp.contracts import Declared
@hookimpl
def molexp_register_asset_kinds():
    return [Declared("{name}", "{name}_kind:Kind", types=("{name}_library.Thing",))]
"""
_IMPORTING = """
from molexp import hookimpl
from {name}_kind import Kind
@hookimpl
def molexp_register_asset_kinds(): return [Kind]
"""


def install(folder: Path) -> None:
    """Write the plugins into a folder."""
    for number in range(PLUGINS):
        name = f"heavy{number}"
        entry = _IMPORTING if number % 2 else _DECLARING
        for module, code in ((f"{name}_library", _SLOW), (f"{name}_kind", _KIND), (name, entry)):
            (folder / f"{module}.py").write_text(code.replace("{name}", name))
        info = folder / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nRequires-Dist: molexp-core\n"
        )
        (info / "entry_points.txt").write_text(f"[molexp.plugins]\n{name} = {name}\n")
        (info / "RECORD").write_text("")


def measure(*, quick: bool) -> list[Line]:
    """Yield the lines of the report."""
    rounds = 5 if quick else 20
    with tempfile.TemporaryDirectory(prefix="molexp-bench-") as folder:
        site = Path(folder, "site")
        site.mkdir()
        install(site)
        cases: Mapping[str, tuple[str, ...]] = {
            "a fresh process that saves JSON": (TRACK, os.path.join(folder, "lab")),
            "molexp --help": (COMMAND, "--help"),
        }
        return [_line(what, case, site, rounds) for what, case in cases.items()]


def _line(what: str, case: tuple[str, ...], site: Path, rounds: int) -> Line:
    places = {"without": str(site / "nothing"), "with": str(site)}
    least = dict.fromkeys(places, float("inf"))
    for _ in range(rounds):
        for name, place in places.items():
            cache = str(site / f"cache-{name}")
            spent = cpu_of(*case, rounds=1, PYTHONPATH=place, MOLEXP_CACHE_DIR=cache)
            least[name] = min(least[name], spent)
    detail = f"{least['with']:.0f} and {least['without']:.0f} ms of CPU"
    return Line(f"{what}, with ten heavy plugins / without", "", least["with"] / least["without"], LIMIT, detail)
