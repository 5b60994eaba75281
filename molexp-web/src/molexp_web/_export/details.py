"""Read what only the newest runs show: curves of metrics, the end of each log, and pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any
from urllib.parse import unquote, urlsplit

import attrs

import molexp as me
from molexp_web._export.gathering import bounded, plain
from molexp_web._export.writing import Copy
from molexp_web._pages.previews import lies_outside

PICTURES = {".gif": "gif", ".jpeg": "jpg", ".jpg": "jpg", ".png": "png", ".webp": "webp"}
"""Suffixes of files that every browser shows as pictures, and that execute nothing: SVG is not among them."""

_POINTS = 600
_CURVES = 60  # of a run
_LOG = 4000  # characters of each log, its end
_LOGS = 8
_LARGEST = 2 << 20  # bytes of a picture
_PICTURES = 8  # of a run


@attrs.define
class Details:
    """Curves, logs and pictures of the newest runs: each call writes a part with those of one run.

    A run that does not go on is read once: as long as its record is the same, the copy before has its part.

    Attributes:
        workspace: the runs' workspace.
        newest: so many runs have them.
        copy: the parts are written there.
        unread: a sentence for each run that could not be read whole.
        beyond: the number of runs that were too old.
        read: the number of runs that were read.
    """

    workspace: me.Workspace
    newest: int
    copy: Copy
    unread: list[str] = attrs.field(factory=list)
    beyond: int = 0
    read: int = 0

    def __call__(self, row: me.RunRow, newer: int) -> Mapping[str, Any]:
        """Return more of a run, by its row and the number of runs that are newer."""
        if newer >= self.newest:
            self.beyond += 1
            return {}
        digest = sha256(me.to_json(row.document).encode()).hexdigest()[:16] if row.status != "running" else ""
        part = self.copy.reused(row.path, digest) if digest else None
        if part is not None:
            return {"details": part}
        self.read += 1
        try:
            found = self._details(self.workspace.run(row.path), row)
        except (me.MolexpError, OSError, ValueError) as error:  # one damaged run is no reason to export none
            said = _without(str(error), self.workspace.url)
            self.unread.append(f"{row.path}: {said}")
            return {"unread": said}
        part = self.copy.put("details", found)
        if digest:
            self.copy.remember(row.path, digest, part, [one["file"] for one in found.get("pictures", ())])
        return {"details": part}

    def _details(self, run: me.Run, row: me.RunRow) -> Mapping[str, Any]:
        found: dict[str, Any] = {}
        assets = run.assets
        if row.status == "running":  # first of all: a page that reads on reads some of it twice rather than never
            found["read"] = {one.key: _length(one) for one in assets if one.kind in ("log", "metrics")}
        if row.metrics:
            found["curves"] = [*_curves(run.metrics.curves())][:_CURVES]
        until = found.get("read", {}) if len(row.execution_history) == 1 else {}
        logs = {one.name: _end(run, one.name, until.get(one.key)) for one in assets if one.kind == "log"}
        if logs:
            found["logs"] = dict([*logs.items()][:_LOGS])
        if row.status == "failed":
            found["trace"] = bounded((me.describe_run(run)["error"] or {}).get("frames"))
        found["files"] = [{"name": one.name, "kind": one.kind, "size": one.size} for one in assets[:200]]
        found["pictures"] = [*self._pictures(assets)]
        return {name: one for name, one in found.items() if one}

    def _pictures(self, assets: Sequence[me.Asset]) -> Iterator[dict[str, str]]:
        some = [one for one in assets if _suffix(one.name) in PICTURES and (one.size or 0) <= _LARGEST]
        for one in some[:_PICTURES]:
            if lies_outside(one):
                continue
            with one.open() as stream:
                data = stream.read(_LARGEST + 1)
            if 0 < len(data) <= _LARGEST:  # the file may be another one than the record says
                yield {"name": one.name, "file": self.copy.put_file(PICTURES[_suffix(one.name)], data)}


def _length(asset: me.Asset) -> int:
    """Return how many bytes a file has that is being written."""
    with asset.open() as stream:
        return stream.seek(0, 2)


def _without(text: str, url: str) -> str:
    """Return a text that does not say where the workspace is."""
    for place in (url, unquote(urlsplit(url).path)):
        text = text.replace(place, "the workspace") if len(place) > 1 else text
    return text


def _suffix(name: str) -> str:
    return f".{name.rpartition('.')[2].lower()}"


def _curves(curves: Iterable[me.Curve]) -> Iterator[dict[str, Any]]:
    """Yield the curves of a run: those of a task have its name before theirs."""
    for curve in curves:
        _, steps, values, _ = curve.thinned(_POINTS)
        if any(one is not None for one in values):
            yield {
                "name": f"{curve.task}: {curve.name}" if curve.task else curve.name,
                "x": steps,
                "y": [plain(one) for one in values],
            }


def _end(run: me.Run, name: str, until: int | None) -> str:
    start, data = run.logs[name].end(_LOG)  # as many lines as it may have letters
    if until is not None:  # a page reads on from there
        data = data[: max(0, until - start)]
    text = data.decode("utf-8", "replace")
    return text if len(text) <= _LOG and not start else f"…{text[-_LOG:]}"
