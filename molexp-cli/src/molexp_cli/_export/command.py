"""``molexp export``: write runs for other programs: rows, or an archive of their files."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from molexp_cli import _words
from molexp_cli._bars import pieces_bar
from molexp_cli._changing import RunsArgument
from molexp_cli._failing import FAILED
from molexp_cli._files import refuse_existing, written
from molexp_cli._formats import Format, names_of, write_pages
from molexp_cli._options import JsonOption, WorkspaceOption, located, runs_at
from molexp_cli._output import say, tell_unreadable, write
from molexp_cli._runs import name_unknown

if TYPE_CHECKING:
    import molexp

_TOLD = 10  # runs and files that are named; the rest are counted


class Form(StrEnum):
    """The form of an export."""

    CSV = "csv"
    JSONL = "jsonl"
    JSON = "json"
    PARQUET = "parquet"
    ZIP = "zip"
    RO_CRATE = "ro-crate"


_BY_SUFFIX = {".csv": Form.CSV, ".jsonl": Form.JSONL, ".ndjson": Form.JSONL, ".json": Form.JSON, ".parquet": Form.PARQUET, ".zip": Form.ZIP}  # fmt: skip
_ARCHIVES = (Form.ZIP, Form.RO_CRATE)


def export(
    ctx: typer.Context,
    runs: RunsArgument = None,
    where: Annotated[
        str | None,
        typer.Option("--where", metavar="QUERY", show_default=False, help="Export the runs that match this query."),
    ] = None,
    form: Annotated[
        Form | None,
        typer.Option("--format", show_default=False, help="The form; by default what FILE ends in, else csv."),
    ] = None,
    target: Annotated[
        Path | None,
        typer.Option(
            "-o", "--save", metavar="FILE", show_default=False, help="The file to write; else standard output."
        ),
    ] = None,
    archived: Annotated[
        bool, typer.Option("--archived", help="Include archived runs; those that you name are always included.")
    ] = False,
    license: Annotated[
        str,
        typer.Option(
            "--license", metavar="URL", show_default=False, help="For an RO-Crate: the licence of its contents."
        ),
    ] = "",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Export runs, all of them unless you choose: a row for each, or an archive of their files.

    csv, jsonl, json and parquet have a row for each run, with the columns of `molexp runs list`. zip has all files of the
    runs and what they need of the rest: definitions, provenance, and the imported data that they used. Unpacked, it is a
    workspace: look at it, or merge it into yours by `molexp sync`. ro-crate is the same with metadata for archives of research data
    (RO-Crate 1.1, Process Run Crate), and with a report as its page.

    FILE ends up complete, or as it was. Deleted runs are never exported, and runs that go on are left out of archives, and
    named. Links to data outside of the workspace are named, and not followed.

    Exits with 1 if something was left out of an archive, or if bytes differ from the record.

    Examples:
        molexp export > runs.csv
        molexp export --where 'params.a > 3' -o runs.parquet
        molexp export metals/cu/cu-1 metals/cu/cu-2 -o two.zip
        molexp export --where '"paper" in tags' --format ro-crate -o paper.zip --license https://spdx.org/licenses/CC-BY-4.0
    """
    chosen = form or (_BY_SUFFIX.get(target.suffix.lower()) if target else None) or Form.CSV
    if runs and where is not None:
        raise typer.BadParameter("Name runs, or choose them with --where QUERY: one of the two.", ctx=ctx)
    if target is None and chosen in (*_ARCHIVES, Form.PARQUET):
        raise typer.BadParameter(f"{chosen} needs a file to be written to.", param_hint="-o")
    if as_json and target is None:
        raise typer.BadParameter(
            "It tells of the file that -o names; without one, use --format json.", param_hint="--json"
        )
    if license and chosen is not Form.RO_CRATE:
        raise typer.BadParameter("Only an RO-Crate says it.", param_hint="--license")
    if target is not None:
        refuse_existing(target, overwrite=overwrite)
    opened = located(ctx, workspace)
    query = where
    if runs:
        query, archived = runs_at(opened.run(name).path for name in runs), True
    pages = _asked(opened, query, archived=archived, tell=True)
    if chosen in _ARCHIVES:
        assert target is not None
        _write_archive(opened, pages, query, chosen, target, license=license, archived=archived, as_json=as_json)
        return
    if target is None:
        _write_rows(opened, pages, query, chosen, None, archived=archived)
        return
    with written(target) as file:
        count = _write_rows(opened, pages, query, chosen, file, archived=archived)
    _tell(target, {"runs": count}, as_json=as_json)


def _asked(
    opened: molexp.Workspace, query: str | None, *, archived: bool, tell: bool = False
) -> molexp.Pages[molexp.RunRow]:
    pages = opened.catalog.run_pages(query, archived=archived)
    if tell:
        tell_unreadable(pages.unreadable)
        if pages.archived:
            say(f"{_words.counted(pages.archived, 'archived run')} left out. Add --archived to include them.")
        if not pages.total:
            name_unknown(opened, query)
    return pages


def _write_rows(
    opened: molexp.Workspace,
    pages: molexp.Pages[molexp.RunRow],
    query: str | None,
    form: Form,
    file: IO[bytes] | None,
    *,
    archived: bool,
) -> int:
    """Write a row for each run, a page at a time but for Parquet, whose columns have one type each; return their number."""
    if form is Form.PARQUET:
        rows = opened.catalog.runs(query, archived=archived)
        assert file is not None
        _write_parquet(rows, file)
        return len(rows)
    count = 0

    def counting() -> Iterable[molexp.Rows[molexp.RunRow]]:
        nonlocal count
        for page in pages:
            count += len(page)
            yield page

    names = names_of(_asked(opened, query, archived=archived)) if form is Form.CSV else ()
    write_pages(Format(str(form)), counting(), names, to=file)
    return count


def _write_parquet(rows: molexp.Rows[molexp.RunRow], file: IO[bytes]) -> None:
    try:
        rows.to_parquet(file.name)  # the file beside FILE, which takes its place
    except ModuleNotFoundError as error:
        raise typer.BadParameter(
            f"{error.name} is not installed: pip install {error.name}.", param_hint="--format"
        ) from None


def _write_archive(
    opened: molexp.Workspace,
    pages: molexp.Pages[molexp.RunRow],
    query: str | None,
    form: Form,
    target: Path,
    *,
    license: str,
    archived: bool,
    as_json: bool,
) -> None:
    from molexp_cli._export.archive import pack
    from molexp_cli._export.crate import Crate

    rows = dict(sorted((row.path, row) for page in pages for row in page))
    if not rows:
        say("No run matches, so nothing was exported.")
        raise typer.Exit(FAILED)
    crate = None
    if form is Form.RO_CRATE:
        crate = Crate(
            opened, rows, license=license, preview=_preview(opened, query, [*rows.values()], archived=archived)
        )
    with written(target) as file, pieces_bar("packing", None) as progress:
        times = {path: row.created_at for path, row in rows.items()}
        packed = pack(file, opened, times, listener=crate, progress=progress)
    answer = {
        "runs": len(packed.runs),
        "files": packed.files,
        "left_out": packed.left_out,
        "external": packed.external,
        "mismatches": packed.mismatches,
    }
    if not as_json:
        _name([f"left out: {reason}" for reason in packed.left_out.values()])
        _name([f"not followed, because it is a link out of the workspace: {key}" for key in packed.external])
        _name([f"the bytes are not those on record: {key}" for key in packed.mismatches])
    _tell(target, answer, as_json=as_json)
    if not packed.ok:
        raise typer.Exit(FAILED)


def _preview(opened: molexp.Workspace, query: str | None, rows: list[molexp.RunRow], *, archived: bool) -> str:
    """Return a report of the runs, with the time of the newest of them, so that the same record gives the same bytes."""
    from molexp_cli import __version__
    from molexp_cli._report.gathering import gather
    from molexp_cli._report.page import page_of

    ends = (str(one.get("ended_at") or "") for row in rows for one in row.execution_history)
    at = max((*ends, *(row.created_at for row in rows)))
    document = gather(opened, query, archived=archived, limit=5000, room=4_000_000)
    return page_of({**document, "made": {"at": f"{at[:19]}Z", "by": f"MolExp {__version__}"}})


def _name(lines: list[str]) -> None:
    for line in lines[:_TOLD]:
        say(line)
    if len(lines) > _TOLD:
        say(f"and {len(lines) - _TOLD} more; --json has all of them")


def _tell(target: Path, answer: dict[str, Any], *, as_json: bool) -> None:
    import molexp

    size = target.stat().st_size
    if as_json:
        write(molexp.to_json({"path": target.resolve(), "bytes": size, **answer}, pretty=True))
        return
    write(str(target))
    files = f", {_words.counted(answer['files'], 'file')}" if "files" in answer else ""
    say(f"{_words.counted(answer['runs'], 'run')}{files}, {_words.size(size)}.")
