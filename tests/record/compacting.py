"""Provide what the tests of compaction share: writers that come and go, and what they leave."""

from __future__ import annotations

import gzip
import json
import sqlite3
from contextlib import contextmanager
from hashlib import sha256

RUN = "projects/metals/experiments/cu/runs"


def rows(ws):
    """All that the catalog says."""
    runs = {row.path: row.document for row in ws.catalog.runs()}
    return runs, {asset.id: asset for asset in ws.catalog.assets()}


def derived(place, folder):
    return sorted(stat.key.removeprefix(f".molexp/{folder}/") for stat in place.store.list(f".molexp/{folder}"))


def write(place, *names, value=1):
    """Runs, by a writer of their own who says that it is done; returns its handle."""
    ws = place.workspace()
    exp = ws.Project("metals").Experiment("cu")
    for name in names:
        with exp.Run({"n": value}, id=name).start() as ctx:
            ctx.set_result("x", value)
            ctx.artifact.save("a.json", [value])
    return ws


def done(ws):
    """Its writer is done with it, as when its process exits."""
    ws._session.journal.retire()


def compact(ws, times=1):
    for _ in range(times):
        report = ws.catalog.compact()
    return dict(report.counts)


@contextmanager
def forged(place, number=1, **changes):
    """Let the first segment of a snapshot be changed as the database that it is; its manifest says that it was always so."""
    manifest = f".molexp/snapshots/{number}.json"
    document = json.loads(place.store.read(manifest))
    segment = document["segments"][0]
    image = sqlite3.connect(":memory:")
    image.deserialize(gzip.decompress(place.store.read(segment["key"])))
    with image:
        yield image
    data = gzip.compress(image.serialize())
    image.close()
    place.store.write(segment["key"], data)
    segment.update(digest=sha256(data).hexdigest(), size=len(data))
    del document["sha256"]
    place.store.write(manifest, json.dumps({**document, **changes}).encode())
