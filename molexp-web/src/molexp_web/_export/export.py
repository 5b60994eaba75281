"""Export a workspace as pages that need no server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import attrs

import molexp as me
from molexp_web._export.details import Details
from molexp_web._export.gathering import PARTS_AN_INDEX, RUNS_A_PART, columns_of, gather, index_of
from molexp_web._export.place import policy_of, record_of, refuse_nested
from molexp_web._export.writing import Copy, OvertakenError
from molexp_web._server.files import unpacked

_AGAIN = 3  # times that an export begins, if others to the same place end meanwhile
_EXPERIMENTS = 500
_SITE = ("index.html", "export.css", "data.js", "record.js", "views.js", "following.js", "export.js")
_VENDOR = {
    "uPlot.iife.min.js": "uPlot-*.iife.min.js.gz",
    "uPlot.min.css": "uPlot-*.min.css",
    "uPlot-LICENSE.txt": "uPlot-LICENSE.txt",
}


@attrs.frozen
class Exported:
    """A copy that was written: how many runs it shows, how many files and bytes were new, and what is left out.

    Attributes:
        read: so many runs were read for curves, logs and pictures.
    """

    runs: int
    written: int
    size: int
    left_out: list[str]
    read: int = 0


def export(
    workspace: me.Workspace,
    target: str,
    *,
    details: int = 1000,
    record: str | None = None,
    look: bool = True,
    progress: Callable[[], object] | None = None,
) -> Exported:
    """Write a static copy of the pages of a workspace, or what is new in it.

    Args:
        workspace: the workspace.
        target: a folder, or the URL of a prefix in a bucket: empty, or with a copy that was exported before.
        details: so many runs, the newest, have curves, logs and pictures.
        record: the address of the workspace for a browser, if that cannot be found by itself; "none" if pages are not to read it.
        look: look which files of the copy are there, and write what somebody removed; else the last export is believed.
        progress: called after each run.

    Raises:
        ValueError: the target holds something else, is in the workspace or around it, or others write there all the time; or
            `record` is no address.
    """
    stray: frozenset[str] = frozenset()
    for _ in range(_AGAIN):
        copy = Copy.at(target, lambda url: refuse_nested(workspace, url), look=look)
        copy.stray = stray
        try:
            return _exported(workspace, copy, details, record_of(workspace, copy.store.url, record), progress)
        except OvertakenError:
            stray |= copy.names
        except BaseException:
            copy.leave()
            raise
        finally:
            copy.store.close()
    raise ValueError(f"Others write copies to {target} all the time: let one of them do it, or choose another place.")


def _exported(
    workspace: me.Workspace,
    copy: Copy,
    details: int,
    record: dict[str, str] | None,
    progress: Callable[[], object] | None,
) -> Exported:
    began = _now()
    version = workspace.catalog.version()  # before anything is read: what changes meanwhile is for the next export
    for name, data in _site(policy_of(record)):
        copy.put_site(name, data)
    told_by = [workspace.url, workspace.name, version, details, record, me.__version__, copy.site]
    of = sha256(me.to_json(told_by).encode()).hexdigest()  # whoever has the copy need not know where the workspace is
    if copy.last.of == of and copy.is_whole:
        copy.settle()
        return Exported(copy.last.runs, copy.written, copy.size, copy.last.left_out)
    more = Details(workspace, details, copy)

    def told(row: me.RunRow, newer: int) -> Any:
        found = more(row, newer)
        if progress is not None:
            progress()
        return found

    found = gather(workspace, copy.put, told)
    left_out = [*found.left_out, "code, uncommitted changes, and files that are no pictures"]
    if more.beyond:
        left_out.append(f"curves, logs and pictures of the {more.beyond} oldest runs")
    left_out += [f"what cannot be read of {one}" for one in more.unread]
    manifest = {
        "workspace": workspace.name or workspace.url.rstrip("/").rpartition("/")[2],
        "began": began,
        "made": _now(),
        "by": f"MolExp {me.__version__}",
        "total": found.total,
        "statuses": dict(sorted(found.statuses.items())),
        "running": found.running[::-1],
        "failed": found.failed[::-1],
        "open": found.open,
        "record": record,
        "experiments": _experiments(workspace),
        "index": index_of(found, copy.put),
        "runs_a_part": RUNS_A_PART,
        "parts_an_index": PARTS_AN_INDEX,
        **columns_of(found, copy.put),
        "left_out": left_out,
    }
    # Logs of runs that go on grow without a new version of the catalog, and what could not be read may be mended by hand.
    settled = "running" not in found.statuses and not more.unread
    copy.finish(manifest, of if settled else "")
    return Exported(found.total, copy.written, copy.size, left_out, more.read)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _site(policy: str) -> Iterator[tuple[str, bytes]]:
    """Yield the files of the page itself; `policy` says from where it may read."""
    here = Path(__file__).parent
    for name in _SITE:
        data = (here / "site" / name).read_bytes()
        if name == _SITE[0] and policy != "'none'":
            data = data.replace(b"connect-src 'none'", f"connect-src {policy}".encode())
            data = data.replace(b"img-src 'self'", f"img-src {policy}".encode())
        yield name, data
    for name, pattern in _VENDOR.items():
        yield name, unpacked(next((here.parent / "static" / "vendor").glob(pattern)))


def _experiments(workspace: me.Workspace) -> list[dict[str, Any]]:
    some = [one for one in workspace.catalog.totals() if one.experiment]
    return [{"path": one.path, "statuses": dict(one.statuses), "newest": one.newest} for one in some[:_EXPERIMENTS]]
