"""The repository that the tests run in: its files, its distributions."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LEFT_BY_TOOLS = {".git", ".venv", "__pycache__", "build", "dist", "lab"}

DISTRIBUTIONS = {
    "molexp": ROOT,
    "molexp-cli": ROOT / "molexp-cli",
    "molexp-core": ROOT / "molexp-core",
    "molexp-dask": ROOT / "molexp-dask",
    "molexp-fs": ROOT / "molexp-fs",
    "molexp-mcp": ROOT / "molexp-mcp",
    "molexp-s3-store": ROOT / "molexp-s3-store",
    "molexp-science": ROOT / "molexp-science",
    "molexp-slurm": ROOT / "molexp-slurm",
    "molexp-web": ROOT / "molexp-web",
}


@cache
def files() -> tuple[Path, ...]:
    """Return the files that are committed, or would be: tracked and new files, less the ignored ones."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode == 0:
        found = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    else:  # an exported tree
        found = [path for path in ROOT.rglob("*") if not is_left_by_tools(path.relative_to(ROOT))]
    return tuple(sorted(path for path in found if path.is_file()))


def is_left_by_tools(path: Path) -> bool:
    return path.name == "uv.lock" or any(part in LEFT_BY_TOOLS or part.endswith("_cache") for part in path.parts)


def pyproject(distribution: str) -> dict[str, Any]:
    return tomllib.loads((DISTRIBUTIONS[distribution] / "pyproject.toml").read_text(encoding="utf-8"))


def is_open_to_others() -> bool:
    """Tell whether other users of the machine can read what the tests run in."""
    places = {ROOT, Path(sys.prefix)}
    return all(one.stat().st_mode & 0o001 for place in places for one in (place, *place.parents))
