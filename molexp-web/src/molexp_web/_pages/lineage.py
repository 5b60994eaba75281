"""The origin of a file or a run, and what became of it, as a graph around it."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import molexp as me
from molexp_web._pages.asset_rows import asset_link, lineage_link
from molexp_web._pages.graphs import Node, laid_out
from molexp_web._pages.rendering import render, with_query, workspace_of
from molexp_web._pages.run import run_link

_STEPS, _MOST_STEPS = 3, 12
_NODES = 80  # that are drawn, and listed


def lineage_page(request: Request) -> Response:
    """Show what something was made from, and what came of it."""
    workspace = workspace_of(request)
    of = str(request.path_params["id"])
    asked = request.query_params.get("steps", "")
    steps = min(_MOST_STEPS, max(1, int(asked))) if asked.isascii() and asked.isdigit() and len(asked) < 4 else _STEPS
    found = workspace.catalog.lineage(of)
    nodes = {node.id: node for node in found.nodes()}
    edges = found.edges()
    near = _near(found.of.id, edges, steps)
    drawn = {name: nodes[name] for name in near if name in nodes}
    kept = dict([*drawn.items()][:_NODES])
    some = [edge for edge in edges if edge.source in kept and edge.target in kept]
    picture = laid_out(
        (_node(request, node, node.id == found.of.id) for node in kept.values()),
        ((edge.source, edge.target, _words(edge)) for edge in some),
    )
    return render(
        request,
        "lineage.html",
        of=found.of,
        own=_link(request, found.of),
        picture=picture,
        up=_listed(request, kept, some, up=True),
        down=_listed(request, kept, some, up=False),
        left_out=len(nodes) - len(kept),
        steps=steps,
        further=with_query(request.url.path, steps=min(_MOST_STEPS, steps * 2)) if steps < _MOST_STEPS else "",
    )


def _near(start: str, edges: Iterable[me.LineageEdge], steps: int) -> list[str]:
    """Return what is at most so many steps away, upstream or downstream, the nearest first; never up and down again."""
    above: defaultdict[str, list[str]] = defaultdict(list)
    below: defaultdict[str, list[str]] = defaultdict(list)
    for edge in edges:
        above[edge.target].append(edge.source)
        below[edge.source].append(edge.target)
    distance = {start: 0}
    for neighbours in (above, below):
        seen = {start: 0}
        waiting = deque([start])
        while waiting:
            name = waiting.popleft()
            for other in neighbours[name] if seen[name] < steps else ():
                if other not in seen:
                    seen[other] = seen[name] + 1
                    waiting.append(other)
        for name, far in seen.items():
            distance.setdefault(name, far)
    return sorted(distance, key=distance.__getitem__)


def _node(request: Request, node: me.LineageNode, is_start: bool) -> Node:
    words = str(node.status) if node.status is not None else "file" if node.kind == "asset" else "run"
    look = " ".join(
        filter(None, [str(node.status or node.kind), "missing" if node.missing else "", "start" if is_start else ""])
    )
    below = "its record is gone" if node.missing else words if node.kind == "run" else _kind(node.id)
    return Node(
        id=node.id,
        label=node.label,
        below=below,
        look=look,
        title=f"{node.kind} {node.id}, {below}",
        link=_link(request, node),
        shape="round" if node.kind == "asset" else "",
    )


def _kind(id: str) -> str:
    parts = id.split(":")
    return parts[1] if len(parts) > 2 else "file"


def _link(request: Request, node: me.LineageNode) -> str:
    if node.missing:
        return ""
    return run_link(request, node.id) if node.kind == "run" else asset_link(request, node.id)


def _words(edge: me.LineageEdge) -> str:
    occasion = [f"attempt {edge.attempt}" if edge.attempt else "", f"task {edge.task}" if edge.task else ""]
    return ", ".join(filter(None, [edge.how, *occasion]))


def _listed(
    request: Request, kept: Mapping[str, me.LineageNode], edges: Sequence[me.LineageEdge], *, up: bool
) -> list[dict[str, Any]]:
    """Return the connections as rows of a table, for whoever cannot see the picture."""
    start = next(iter(kept), "")
    ends: dict[str, int] = {start: 0}
    rows = []
    waiting = deque([start])
    while waiting:
        name = waiting.popleft()
        for edge in edges:
            near, far = (edge.target, edge.source) if up else (edge.source, edge.target)
            if near != name:
                continue
            node = kept[far]
            rows.append(
                {
                    "node": node,
                    "link": _link(request, node),
                    "lineage": lineage_link(request, node.id),
                    "from": kept[near].label,
                    "words": _words(edge),
                }
            )
            if far not in ends:
                ends[far] = ends[name] + 1
                waiting.append(far)
    return rows


ROUTES: list[Route] = [Route("/w/{workspace}/lineage/{id:path}", lineage_page, name="lineage")]
