"""Time the two calls by which an assistant finds the best runs of many and reads their curves, beside the queries alone."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from statistics import median
from typing import Any

from dataset import dataset_with_metrics
from mcp.client.client import Client
from measure import Line

import molexp as me
from molexp_mcp.server import build_server

LIMIT = 100.0  # ms of CPU for both calls
FIRST: dict[str, Any] = {"sort": "metrics.loss.min", "limit": 5, "columns": ["metrics.loss.min"]}


def measure(*, quick: bool) -> Iterator[Line]:
    """Yield the lines of the report."""
    data = dataset_with_metrics(10_000 if quick else 100_000)
    ws = me.Workspace(data.lab)
    calls, queries, size = asyncio.run(_ask(ws, rounds=5 if quick else 15))
    detail = f"the queries alone {queries:.0f} ms, both answers {size} bytes"
    yield Line(
        f"the best 5 of {data.count} and their curves, in two calls of an assistant",
        "",
        calls,
        LIMIT,
        detail,
        unit=" ms",
    )


async def _ask(ws: me.Workspace, rounds: int) -> tuple[float, float, int]:
    """Return the CPU time of both calls and of the queries without a server, in ms, and the size of the answers."""
    took, alone, size = list[float](), list[float](), 0
    async with Client(build_server([ws])) as client:
        for _ in range(rounds + 1):
            began = time.process_time()
            found = await _text(client, "find_runs", FIRST)
            best = re.findall(r"^(\S+/\S+/\S+)\t", found, re.MULTILINE)
            curves = await _text(client, "read_metrics", {"runs": best, "names": ["loss"]})
            took.append((time.process_time() - began) * 1000)
            assert len(best) == curves.count("points\t") == 5, found + curves
            size = len(found) + len(curves)
            began = time.process_time()
            for row in ws.catalog.runs(sort=FIRST["sort"], limit=5):
                ws.run(row.path).metrics.to_columns()
            alone.append((time.process_time() - began) * 1000)
    return median(took[1:]), median(alone[1:]), size


async def _text(client: Any, tool: str, arguments: Any) -> str:
    done = await client.call_tool(tool, arguments)
    assert not done.is_error, done.content
    return "".join(getattr(part, "text", "") for part in done.content)
