"""All benchmarks, one command: ``uv run --group bench python benchmarks/run.py``.

Prints one line a ratio, with its limit, and exits 1 if one is over. ``--quick`` measures less; names choose some.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import partial

import catalog
import metric_points
import payloads
import s3
import start_up
import syncs
import tracked_run
import workflows
from measure import Line

Suite = Callable[..., Iterable[Line]]

SUITES: Mapping[str, Suite] = {
    "tracked_run": tracked_run.measure,
    "metric_points": metric_points.measure,
    "payloads": payloads.measure,
    "start_up": start_up.measure,
    "workflows": workflows.measure,
    "syncs": syncs.measure,
    "catalog": catalog.measure,
    "s3": s3.measure,
}


def main() -> int:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("suites", nargs="*", choices=[[], *SUITES], help="benchmarks to run; by default, all")
    parser.add_argument("--quick", action="store_true", help="measure less")
    parser.add_argument(
        "--runs", type=int, help="number of runs in the catalog; by default 100 000, with --quick 10 000"
    )
    arguments = parser.parse_args()
    suites: dict[str, Suite] = {**SUITES, "catalog": partial(catalog.measure, runs=arguments.runs)}
    over = False
    for name in arguments.suites or suites:
        for line in suites[name](quick=arguments.quick):
            print(line, flush=True)
            over = over or line.ratio > line.limit
    return int(over)


if __name__ == "__main__":
    sys.exit(main())
