"""Gather what a report shows: the runs that match, and of them what a page of so many bytes has room for."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from molexp_cli import _words
from molexp_cli._bars import count_bar
from molexp_cli._report.budget import IMAGES, ROWS, TEXTS, CurvePlan, plan_curves, size_of
from molexp_cli._report.images import SUFFIXES, NotShownError, thumbnail
from molexp_cli._report.table import rows_that_fit
from molexp_cli._report.thinning import thin

if TYPE_CHECKING:
    import molexp

T = TypeVar("T")

_IMAGES = 240  # that are read at most
_FOUND = 20_000  # that are looked for among all there are
_FEW = 30  # runs that are asked for theirs one by one
_FAILURES = 60  # different ones
_FRAMES = 4000  # characters of a traceback
_ORIGINS = 100  # different ones


def gather(opened: molexp.Workspace, where: str | None, *, archived: bool, limit: int, room: int) -> dict[str, Any]:
    """Return the document of a page.

    Args:
        opened: the workspace.
        where: a query; None for all runs.
        archived: show archived runs, too.
        limit: show so many runs at most, the newest.
        room: bytes that the document may take.
    """
    pages = opened.catalog.run_pages(where, archived=archived, sort="-created_at")
    total = pages.total
    rows = [*islice((row for page in pages for row in page), limit)]
    number, columns, left_out = rows_that_fit(rows, int(room * ROWS))
    total = max(len(rows), total if total is not None else len(rows))
    rows = rows[:number]
    if total > number:
        left_out.insert(0, f"{total - number} of {_words.counted(total, 'run')}, the oldest")
    if pages.archived:
        left_out.append(_words.counted(pages.archived, "archived run"))
    if pages.unreadable:
        left_out.append(f"{_words.counted(len(pages.unreadable), 'file')} that cannot be read (see molexp fsck)")
    found: dict[str, Any] = {
        "workspace": {
            "name": opened.name or _words.place(opened.url).rstrip("/").rpartition("/")[2],
            "url": opened.url,
        },
        "query": where or "",
        "total": total,
        "statuses": dict(sorted(Counter(str(row.status) for row in rows).items())),
        "count": number,
        "columns": columns,
        "failures": fitting(failures_of(opened, rows), int(room * TEXTS), "failures", left_out),
        **origins_of(opened, rows, int(room * TEXTS), left_out),
    }
    images = fitting(images_of(opened, rows, left_out), int(room * IMAGES), "images", left_out)
    room -= size_of(found) + size_of(images)
    plan = plan_curves([row.metrics for row in rows], room)
    found |= curves_of(opened, rows, plan, room, left_out)
    found |= {"images": images, "left_out": [*left_out, *plan.left_out]}
    return found


def fitting(some: Iterable[T], room: int, what: str, left_out: list[str]) -> list[T]:
    """Return as many things as there is room for, from the first on; say how many are left out."""
    kept: list[T] = []
    dropped = 0
    for one in some:
        room -= size_of(one)
        if room >= 0:
            kept.append(one)
        else:
            dropped += 1
    if dropped:
        left_out.append(f"{dropped} of {len(kept) + dropped} {what}")
    return kept


# ------------------------------------------------------------------------------------------------------------------ curves


def curves_of(
    opened: molexp.Workspace,
    rows: Sequence[molexp.RunRow],
    plan: CurvePlan,
    room: int,
    left_out: list[str],
) -> dict[str, Any]:
    """Return the curves: by metric, for each run the steps as differences, and the values."""
    import molexp

    with_metrics = [row.path for row in rows[: plan.runs] if not row.metrics.keys().isdisjoint(plan.names)]
    read: dict[str, list[tuple[str, Any]]] = {}

    def one(run: molexp.Run) -> None:
        read[run.path] = [*_series(run.metrics.curves(plan.names), plan)]

    failed = []
    with count_bar("runs", len(with_metrics)) as advance:
        for done in molexp.change_runs(opened, with_metrics, one):  # reads several at a time, where that is slow
            advance()
            failed += [done] if done.error is not None else []
    for done in failed:
        if not isinstance(done.error, molexp.MolexpError | OSError | ValueError):
            raise done.error or AssertionError
    if failed:
        left_out.append(f"the curves of {_words.counted(len(failed), 'run')}: {failed[0].error}")
    while True:
        curves: dict[str, list[Any]] = {}
        for number, row in enumerate(rows):
            for name, (steps, values) in read.get(row.path, ()):
                curves.setdefault(name, []).append([number, _differences(steps), values])
        names = sorted(curves, key=lambda name: (-len(curves[name]), name))
        found = {"metrics": names, "curves": [curves[name] for name in names]}
        if (size := size_of(found)) <= room or plan.points <= 4:
            return found
        plan = plan._replace(points=max(4, int(plan.points * room / size * 0.9)))
        read = {
            path: [(name, thin(steps, values, plan.points)) for name, (steps, values) in some]
            for path, some in read.items()
        }


def _series(curves: Iterable[molexp.Curve], plan: CurvePlan) -> Iterator[tuple[str, Any]]:
    """Yield the curves of one run, thinned; those of a task have its name before theirs."""
    for curve in curves:
        _, steps, values, _ = curve.thinned(max(plan.points, 8))
        if any(one is not None for one in values):
            yield (f"{curve.task}: {curve.name}" if curve.task else curve.name), thin(steps, values, plan.points)


def _differences(steps: Sequence[int]) -> list[int]:
    return [after - before for before, after in zip([0, *steps], steps, strict=False)]


# ------------------------------------------------------------------------------------------------------------------ images


def images_of(opened: molexp.Workspace, rows: Sequence[molexp.RunRow], left_out: list[str]) -> Iterator[dict[str, Any]]:
    """Yield images of runs: the first one of each run, newest run first, then the second ones."""
    import molexp

    numbers = {row.path: number for number, row in enumerate(rows)}
    query = " or ".join(f'name like "%{suffix}"' for suffix in (*SUFFIXES, *map(str.upper, SUFFIXES)))
    by_run: dict[int, list[Any]] = defaultdict(list)
    ask = opened.catalog.assets
    few = [asset for row in rows[:_FEW] for asset in ask(query, scope=row.path)] if len(rows) <= _FEW else None
    for asset in ask(query, sort="-created_at", limit=_FOUND) if few is None else few:
        if (number := numbers.get(asset.scope)) is not None:
            by_run[number].append(asset)
    for some in by_run.values():
        some.sort(key=lambda asset: (asset.name, asset.id))
    ranks = range(max(map(len, by_run.values()), default=0))
    ranked = [(number, some[rank]) for rank in ranks for number, some in sorted(by_run.items()) if rank < len(some)]
    reasons: Counter[str] = Counter()
    for number, asset in ranked[:_IMAGES]:
        try:
            yield {"run": number, "name": asset.name, "uri": thumbnail(asset)}
        except NotShownError as reason:
            reasons[str(reason)] += 1
        except (molexp.MolexpError, OSError) as error:
            reasons[f"they cannot be read: {error}"] += 1
    if len(ranked) > _IMAGES:
        reasons[f"a report shows {_IMAGES} at most"] += len(ranked) - _IMAGES
    left_out += [f"{_words.counted(count, 'image')}, because {reason}" for reason, count in reasons.items()]


# ---------------------------------------------------------------------------------------------------- failures and origins


def failures_of(opened: molexp.Workspace, rows: Sequence[molexp.RunRow]) -> list[dict[str, Any]]:
    """Return the different errors that ended runs, the most frequent first, with the runs and one traceback."""
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for number, row in enumerate(rows):
        if str(row.status) in ("failed", "interrupted"):
            newest: Mapping[str, Any] = row.execution_history[-1] if row.execution_history else {}
            error = newest.get("error")
            if isinstance(error, Mapping):
                key = str(error.get("type")), str(error.get("message"))
            else:
                key = str(row.cause or row.status), str(newest.get("reason") or "")
            groups[key[0][:200], key[1][:_FRAMES]].append(number)
    ordered = sorted(groups.items(), key=lambda one: (-len(one[1]), one[0]))
    return [
        {
            "type": kind,
            "message": message,
            "runs": runs,
            "frames": _frames(opened, rows[runs[0]].path) if at < _FAILURES else "",
        }
        for at, ((kind, message), runs) in enumerate(ordered)
    ]


def _frames(opened: molexp.Workspace, path: str) -> str:
    import molexp

    try:
        error = molexp.describe_run(opened.run(path))["error"] or {}
    except molexp.MolexpError:
        return ""
    frames = error.get("frames") or ""
    return frames if len(frames) <= _FRAMES else f"…{frames[-_FRAMES:]}"


def origins_of(
    opened: molexp.Workspace, rows: Sequence[molexp.RunRow], room: int, left_out: list[str]
) -> dict[str, Any]:
    """Return the different origins of runs: commit, interpreter, platform; and the different sets of packages."""
    import molexp

    by_id: dict[str, list[int]] = defaultdict(list)
    for number, row in enumerate(rows):
        if row.provenance:
            by_id[row.provenance].append(number)
    origins: list[dict[str, Any]] = []
    packages: list[dict[str, str]] = []
    for _, runs in sorted(by_id.items(), key=lambda one: one[1])[:_ORIGINS]:
        try:
            found = opened.run(rows[runs[0]].path).provenance or {}
        except molexp.MolexpError:
            continue
        named = found.get("packages")
        own = {str(name): str(one) for name, one in named.items()} if isinstance(named, Mapping) else {}
        if own not in packages and size_of([*packages, own]) <= room:
            packages.append(own)
        origins.append({**_origin(found), "runs": runs, "packages": packages.index(own) if own in packages else -1})
    if len(by_id) > len(origins):
        left_out.append(f"{len(by_id) - len(origins)} of {len(by_id)} origins")
    return {"origins": origins, "packages": packages}


def _origin(found: Mapping[str, Any]) -> dict[str, Any]:
    git = found.get("git")
    git = git if isinstance(git, Mapping) else {}
    return {
        "commit": str(git.get("commit") or ""),
        "branch": str(git.get("branch") or ""),
        "remote": str(git.get("remote") or ""),
        "changed": bool(git.get("diff") or git.get("dirty")),
        "python": f"{found.get('implementation') or 'Python'} {found.get('python') or ''}".strip(),
        "platform": str(found.get("platform") or ""),
    }
