"""All benchmarks, one command: ``uv run --group bench python benchmarks/run.py``.

Prints PASS or OVER for each ratio, with its limit, then PASS or OVER for each promise in `PROMISES`, and exits 1 if one is over.
``--quick`` measures less; names choose some.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import partial

import assistants
import catalog
import dask_calls
import growth
import heavy_plugins
import metric_points
import payloads
import s3
import science
import start_up
import syncs
import tracked_run
import web
import workflows
from measure import Line

Suite = Callable[..., Iterable[Line]]

SUITES: Mapping[str, Suite] = {
    "tracked_run": tracked_run.measure,
    "metric_points": metric_points.measure,
    "payloads": payloads.measure,
    "science": science.measure,
    "start_up": start_up.measure,
    "heavy_plugins": heavy_plugins.measure,
    "workflows": workflows.measure,
    "dask_calls": dask_calls.measure,
    "syncs": syncs.measure,
    "catalog": catalog.measure,
    "growth": growth.measure,
    "assistants": assistants.measure,
    "web": web.measure,
    "s3": s3.measure,
}

PROMISES: Mapping[str, str] = {
    "Compaction has a bounded memory, and nobody waits for it": "compaction of|and its exit",
    "The runs of an experiment cost one listing, one of them one look": r"exp\.runs",
    "A refresh costs what changed": "a refresh after",
    "The newest runs, and few of one status, are found at once": "of a million runs|limit=1|the newest|status=|runs / none",
    "A sync, or the import of a folder, costs no more than twice rsync": "rsync",
    "Lists are streamed": "runs list of .* / -n 20",
    "A short process starts quickly": "over a bare|over the same",
    "Plugins cost those nothing who do not need them": "heavy plugins",
    "A tracked run costs little more than its files": "tracked run|^run ",
    "Metrics and logs are read back by columns and in pieces": "points|a log of|query of metrics|the last metric",
    "Large files cost a copy and a hash": " MB by ",
    "Weights, arrays and tables cost little more than a file and a hash": "^state dict|^array|^frame",
    "A first open costs little more than reading and parsing": "first open of .* runs[^,]* / ",
    "Snapshots are compressed, and memory is bounded": "snapshot / index|verification of|peak memory",
    "An assistant finds the best of many runs quickly": "of an assistant",
    "Pages in the browser come at once, and are small": "in the browser",
    "A call on Dask costs little more than a bare one": "Client.submit",
    "Many small tasks cost little more than a pool": "map_over|tasks",
}
"""Promises of speed, each with a pattern of the lines that show whether it holds."""


def main() -> int:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("suites", nargs="*", choices=[[], *SUITES], help="benchmarks to run; by default, all")
    parser.add_argument("--quick", action="store_true", help="measure less")
    parser.add_argument(
        "--runs", type=int, help="number of runs in the catalog; by default 100 000, with --quick 10 000"
    )
    parser.add_argument("--million", action="store_true", help="let the table of growth go on to a million runs")
    arguments = parser.parse_args()
    suites: dict[str, Suite] = {
        **SUITES,
        "catalog": partial(catalog.measure, runs=arguments.runs),
        "growth": partial(growth.measure, million=arguments.million),
    }
    lines: list[Line] = []
    for name in arguments.suites or suites:
        for line in suites[name](quick=arguments.quick):
            print(line, flush=True)
            lines.append(line)
    print()
    for promise, verdict in verdicts(lines).items():
        print(f"{verdict:<4} {promise}")
    return int(any(line.verdict == "OVER" for line in lines))


def verdicts(lines: Iterable[Line]) -> dict[str, str]:
    """Return PASS or OVER for each of the `PROMISES`, and "-" for one that no line is about."""
    found = {}
    for promise, pattern in PROMISES.items():
        said = {line.verdict for line in lines if re.search(pattern, line.what)}
        found[promise] = max(said, key="PASS OVER".find) if said else "-"
    return found


if __name__ == "__main__":
    sys.exit(main())
