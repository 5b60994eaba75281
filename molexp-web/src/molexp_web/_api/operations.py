"""List every operation of the API."""

from __future__ import annotations

from molexp_web._api import changing, curves, files, logs, reading
from molexp_web._api.declaring import WORKSPACE, Operation, Parameter

_QUERY = Parameter("q", "A query, as `molexp runs list` takes it.", default="")
_ARCHIVED = Parameter("archived", "Include archived runs.", "boolean", default=False)
_RUNS = Parameter("run", "The path of a run, the beginning of its id, or @latest. Repeatable.", many=True)


def _limit(default: int, most: int) -> Parameter:
    return Parameter("limit", "At most so many.", "integer", default=default, least=1, most=most)


READING = (
    Operation("/workspaces", reading.workspaces, "List the workspaces.", returns="A list of names and URLs."),
    Operation(WORKSPACE, reading.workspace, "Describe a workspace.", returns="As `molexp info --json`."),
    Operation(
        f"{WORKSPACE}/projects",
        reading.projects,
        "List projects.",
        (_ARCHIVED,),
        "As the entries of `molexp ls --json`.",
    ),
    Operation(
        f"{WORKSPACE}/experiments",
        reading.experiments,
        "List experiments.",
        (Parameter("project", "Only of this project.", default=""), _ARCHIVED),
        "As the entries of `molexp ls PROJECT --json`.",
    ),
    Operation(
        f"{WORKSPACE}/runs",
        reading.runs,
        "List runs, a page at a time.",
        (
            _QUERY,
            Parameter("project", "Only of this project.", default=""),
            Parameter("experiment", "Only of this experiment, an id or PROJECT/ID.", default=""),
            Parameter("status", "Only with this status. Repeatable.", many=True),
            Parameter("tag", "Only with this tag. Repeatable: with all of them.", many=True),
            _ARCHIVED,
            Parameter("sort", "A column, such as results.energy; - before it for descending order.", default=""),
            Parameter("columns", "Only these columns, with commas between them or repeated.", many=True),
            _limit(50, 1000),
            Parameter("cursor", "`next` of the page before.", default=""),
            Parameter("count", "Count all runs that match, as `total`.", "boolean", default=False),
        ),
        "`runs` is a list as `molexp runs list --json` prints it, or of the columns; `next` is the cursor of the next page, or null.",
        versioned=True,
    ),
    Operation(
        f"{WORKSPACE}/runs/{{project}}/{{experiment}}/{{run}}",
        reading.run,
        "Describe a run: attempts, tasks, results, assets, origin.",
        returns="As `molexp show --json`.",
    ),
    Operation(
        f"{WORKSPACE}/runs/{{project}}/{{experiment}}/{{run}}/graph",
        reading.graph,
        "Show the workflow of a run.",
        returns="As `molexp show --graph --json`.",
    ),
    Operation(
        f"{WORKSPACE}/fields",
        reading.fields,
        "List the fields that queries, sort and columns may have.",
        (Parameter("containing", "Only names that have this in them.", default=""), _limit(200, 5000)),
        "A list of names.",
        versioned=True,
    ),
    Operation(
        f"{WORKSPACE}/metrics",
        curves.metrics,
        "Show curves of metrics, of several runs.",
        (
            _RUNS,
            _QUERY,
            Parameter("name", "Only this metric. Repeatable.", many=True),
            Parameter("points", "At most so many points of each curve.", "integer", default=1000, least=8, most=20_000),
            Parameter("since", "Only points after this step: those that are new.", "number"),
            _limit(20, curves.MOST_RUNS),
        ),
        "`series` has for each run, metric and task `steps`, `values` (null is a gap) and `times`, and the `count` of points that "
        "they were chosen from: the first, the last, and the least and greatest of each stretch. Of more than 4 MiB of metrics, "
        "a stretch is some hundred points at least, so fewer points may come.",
    ),
    Operation(
        f"{WORKSPACE}/logs",
        logs.logs,
        "Read a log, or follow it by server-sent events.",
        (
            Parameter("run", "The path of a run, the beginning of its id, or @latest.", needed=True),
            Parameter("name", "The log's name; by default the main or last one.", default=""),
            Parameter("attempt", "What this attempt wrote; by default the newest.", "integer", least=1, most=10**9),
            Parameter("from", "Begin with this byte.", "integer", least=0, most=2**62),
            Parameter("bytes", "At most so many bytes.", "integer", default=logs.PIECE, least=1, most=1 << 22),
            Parameter(
                "tail", "Without `from`: begin with the last lines.", "integer", default=500, least=0, most=100_000
            ),
            Parameter("follow", "Go on with new lines until the run has ended.", "boolean", default=False),
        ),
        "`text`, where it stands (`from`, `to`, `size`), and whether the run `goes_on`. With `follow`, events `lines` (a JSON list of "
        "lines), `problem` and `end`; a client that comes back with `Last-Event-ID` gets the rest.",
    ),
    Operation(
        f"{WORKSPACE}/assets",
        reading.assets,
        "List assets, a page at a time.",
        (
            Parameter("q", "A query, as `molexp assets list` takes it.", default=""),
            Parameter("kind", "Only of this kind.", default=""),
            Parameter("name", "Only with this name.", default=""),
            Parameter("scope", "Only of this run, experiment or project; empty for the workspace."),
            Parameter("producer", "Only what this run made, by its path.", default=""),
            Parameter("sort", "A column, such as size; - before it for descending order.", default=""),
            _limit(50, 1000),
            Parameter("cursor", "`next` of the page before.", "integer", default=0, least=0, most=10**9),
        ),
        "`assets` is a list as `molexp assets list --json` prints it; `next` is the cursor of the next page, or null.",
        versioned=True,
    ),
    Operation(
        f"{WORKSPACE}/assets/{{id:path}}/bytes",
        files.content,
        "Send the bytes of an asset, or a range of them.",
        (Parameter("download", "Save it, and do not show it.", "boolean", default=False),),
        "The bytes, with their type and a policy by which a browser executes nothing of them.",
        media_type="application/octet-stream",
    ),
    Operation(
        f"{WORKSPACE}/assets/{{id:path}}",
        reading.asset,
        "Describe an asset, by its id or as RUN:NAME.",
        returns="As `molexp assets show --json`.",
    ),
    Operation(
        f"{WORKSPACE}/compare",
        reading.compare,
        "Show the fields in which runs differ.",
        (_RUNS, _QUERY, _limit(50, reading.MOST_COMPARED)),
        "As `molexp compare --json`.",
        versioned=True,
    ),
    Operation(
        f"{WORKSPACE}/lineage",
        reading.lineage,
        "Show what a run or an asset was made from, and what used it.",
        (
            Parameter("of", "A run, RUN:NAME, or the id of an asset.", needed=True),
            Parameter("up", "Only what it was made from.", "boolean", default=False),
            Parameter("down", "Only what used it.", "boolean", default=False),
        ),
        "As `molexp lineage --json`.",
        versioned=True,
    ),
)
"""Operations that read."""

CHANGING = (
    Operation(
        f"{WORKSPACE}/changes",
        changing.changes,
        "Tag, note, archive, delete, restore, cancel or execute runs. Only with --allow-changes.",
        returns="For each run its path, and the error or null. The status is 207 if there is an error.",
        method="POST",
        body=changing.BODY,
    ),
)
"""Operations that change the record."""
