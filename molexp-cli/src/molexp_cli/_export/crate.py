"""RO-Crate metadata: what an archive contains, in words that other programs know.

The crate follows RO-Crate 1.1 (https://w3id.org/ro/crate/1.1) and the profile Process Run Crate 0.5
(https://w3id.org/ro/wfrun/process/0.5): a run is a ``CreateAction``, its parameters are the objects, its files and results what it
made, and the code that it executed is the instrument.
"""

from __future__ import annotations

import io
import json
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import quote

from molexp_cli._formats import flat

if TYPE_CHECKING:
    import molexp

METADATA, PREVIEW = "ro-crate-metadata.json", "ro-crate-preview.html"
_CRATE, _PROFILE = "https://w3id.org/ro/crate/1.1", "https://w3id.org/ro/wfrun/process/0.5"
_CONTEXT = [f"{_CRATE}/context", {"sha256": "https://schema.org/sha256"}]  # the word is younger than the context
_STATUS = {
    "succeeded": "Completed",
    "failed": "Failed",
    "interrupted": "Failed",
    "cancelled": "Failed",
    "pending": "Potential",
    "queued": "Potential",
}
_PAYLOAD = re.compile(r"/runs/[^/]+/(?:(?:executions/\d+/)?(?:artifacts|checkpoints|logs)/.+|run\.json)\Z", re.DOTALL)
"""The files of a run that are of interest to others; the rest is how MolExp keeps its record."""

_TYPES = {
    ".cif": "chemical/x-cif",
    ".csv": "text/csv",
    ".gif": "image/gif",
    ".html": "text/html",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".log": "text/plain",
    ".md": "text/markdown",
    ".parquet": "application/vnd.apache.parquet",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
    ".xyz": "chemical/x-xyz",
    ".yaml": "application/yaml",
    ".zip": "application/zip",
}
"""Media types, on every machine the same: `mimetypes` reads what the system has."""

_SPOOLED = 8 << 20  # bytes of metadata that are kept in memory


class Crate:
    """Describes the runs of an archive.

    Args:
        workspace: the workspace.
        rows: the rows of the runs, by their paths.
        license: the licence's URL or name; "" for none.
        preview: the page that people see; "" for none.
    """

    def __init__(
        self, workspace: molexp.Workspace, rows: Mapping[str, molexp.RunRow], *, license: str = "", preview: str = ""
    ) -> None:
        self._workspace = workspace
        self._rows = rows
        self._license = license
        self._preview = preview
        self._entities: IO[bytes] = tempfile.SpooledTemporaryFile(_SPOOLED)  # noqa: SIM115 - `end` closes it
        self._shared: list[str] = []  # files that belong to no run
        self._runs: list[str] = []
        self._folder = ""  # of the run at hand
        self._files: list[dict[str, Any]] = []  # its payloads
        self._origins: dict[str, str] = {}
        self._last = ""  # the time of the newest end

    def add(self, file: molexp.RecordFile, digest: str) -> None:
        """Take note of a file: those of a run come together."""
        if file.run != self._folder:
            self._leave()
            self._folder = file.run
        entity = _file(file, digest)
        if not file.run:
            self._shared.append(entity["@id"])
            self._say(entity)
        elif _PAYLOAD.search(file.key):
            self._files.append(entity)

    def end(self, put: Callable[[str, IO[bytes]], None]) -> None:
        """Put the metadata into the archive, and the page."""
        self._leave()
        with self._entities as said, tempfile.SpooledTemporaryFile(_SPOOLED) as whole:
            head = f'{{\n"@context": {json.dumps(_CONTEXT)},\n"@graph": [\n'
            whole.write(head.encode() + b",\n".join(map(_encoded, self._head())))
            said.seek(0)
            while piece := said.read(1 << 20):
                whole.write(piece)
            whole.write(b"\n]\n}\n")
            whole.seek(0)
            put(METADATA, whole)
        if self._preview:
            put(PREVIEW, io.BytesIO(self._preview.encode()))

    # ------------------------------------------------------------------------------------------------------- entities

    def _say(self, *entities: Mapping[str, Any]) -> None:
        for entity in entities:
            self._entities.write(b",\n" + _encoded(entity))

    def _head(self) -> Iterator[dict[str, Any]]:
        name = self._workspace.name or self._workspace.url.rstrip("/").rpartition("/")[2]
        yield {
            "@id": METADATA,
            "@type": "CreativeWork",
            "about": {"@id": "./"},
            "conformsTo": {"@id": _CRATE},
        }
        root: dict[str, Any] = {
            "@id": "./",
            "@type": "Dataset",
            "name": name,
            "description": f"{len(self._runs)} runs of the workspace {name}, recorded by MolExp. Unpacked, it is a workspace.",
            "datePublished": self._last or "1980-01-01T00:00:00Z",
            "conformsTo": {"@id": _PROFILE},
            "hasPart": [*map(_ref, self._shared), *(_ref(_folder(run)) for run in self._runs)],
            "mentions": [_ref(_action(run)) for run in self._runs],
        }
        if self._license:
            root["license"] = _ref(self._license) if "://" in self._license else self._license
        yield root
        yield {"@id": _PROFILE, "@type": "CreativeWork", "name": "Process Run Crate", "version": "0.5"}
        if "://" in self._license:
            yield {"@id": self._license, "@type": "CreativeWork", "name": self._license.rstrip("/").rpartition("/")[2]}
        if self._preview:
            yield {"@id": PREVIEW, "@type": "CreativeWork", "about": {"@id": "./"}}

    def _leave(self) -> None:
        """Describe the run that is complete."""
        path, self._folder = self._folder, ""
        files, self._files = self._files, []
        if not path:
            return
        row = self._rows[path]
        self._runs.append(path)
        attempt: Mapping[str, Any] = row.execution_history[-1] if row.execution_history else {}
        objects = [*_values(path, "params", row.parameters)]
        results = [*_values(path, "results", row.results)]
        action: dict[str, Any] = {
            "@id": _action(path),
            "@type": "CreateAction",
            "name": path,
            "instrument": _ref(self._instrument(row)),
            "actionStatus": _ref(f"http://schema.org/{_STATUS.get(str(row.status), 'Active')}ActionStatus"),
            "object": [_ref(one["@id"]) for one in objects],
            "result": [*(_ref(one["@id"]) for one in files), *(_ref(one["@id"]) for one in results)],
        }
        for name, key in (("startTime", "started_at"), ("endTime", "ended_at")):
            if isinstance(attempt.get(key), str):
                action[name] = attempt[key]
                self._last = max(self._last, attempt[key])
        if attempt.get("reason"):
            action["error"] = str(attempt["reason"])
        folder = {
            "@id": _folder(path),
            "@type": "Dataset",
            "name": path,
            "description": f"The record of the run {path}.",
            "hasPart": [_ref(one["@id"]) for one in files],
        }
        self._say(action, folder, *files, *objects, *results)

    def _instrument(self, row: molexp.RunRow) -> str:
        """Return the id of the code that a run executed, which is described once."""
        import molexp

        known = row.provenance or ""
        if known in self._origins:
            return self._origins[known]
        name = self._origins[known] = f"#code-{known[:16] or 'unknown'}"
        entity: dict[str, Any] = {"@id": name, "@type": "SoftwareApplication", "name": "code of unknown origin"}
        try:
            found = self._workspace.run(row.path).provenance or {}
        except molexp.MolexpError:
            found = {}
        git = found.get("git")
        if isinstance(git, Mapping) and git.get("commit"):
            changed = " with uncommitted changes" if git.get("dirty") else ""
            entity |= {"name": f"code at commit {git['commit']}{changed}", "softwareVersion": str(git["commit"])}
            if str(git.get("remote") or "").startswith("http"):
                entity["url"] = git["remote"]
        if found.get("python"):
            entity["softwareRequirements"] = f"{found.get('implementation') or 'Python'} {found['python']}"
        self._say(entity)
        return name


def _encoded(entity: Mapping[str, Any]) -> bytes:
    return json.dumps(entity, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")


def _ref(name: str) -> dict[str, str]:
    return {"@id": name}


def _action(path: str) -> str:
    return f"#{quote(path)}"


def _folder(path: str) -> str:
    project, experiment, run = path.split("/")
    return quote(f"projects/{project}/experiments/{experiment}/runs/{run}/")


def _file(file: molexp.RecordFile, digest: str) -> dict[str, Any]:
    kind = _TYPES.get(PurePosixPath(file.key).suffix.lower())
    return {
        "@id": quote(file.key),
        "@type": "File",
        "name": file.key.rpartition("/")[2],
        "contentSize": str(file.size),
        "sha256": digest.removeprefix("sha256:"),
        **({"encodingFormat": kind} if kind else {}),
    }


def _values(path: str, group: str, found: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield parameters or results as values with names; what JSON-LD has no value for is text."""
    import molexp

    for name, value in flat({group: found}).items():
        if name == group:
            continue
        plain = isinstance(value, bool | int | str) or (isinstance(value, float) and value - value == 0)
        yield {
            "@id": f"#{quote(path)}/{quote(name)}",
            "@type": "PropertyValue",
            "name": name.partition(".")[2] or name,
            "value": value if plain else molexp.to_json(value),
        }
