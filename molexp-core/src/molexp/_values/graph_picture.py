"""The graph of a workflow as a picture: SVG in a page, from left to right, each task in the column after its upstreams."""

from __future__ import annotations

from collections import defaultdict
from html import escape

from molexp._html.parts import COLORS, GREY
from molexp._values.graph import GraphTask, WorkflowGraph

_WIDTH, _HEIGHT = 190, 44  # of a box; between boxes:
_ACROSS, _DOWN = 60, 14
_LETTERS = 24  # of a name that fit


def picture(graph: WorkflowGraph) -> str:
    """HTML of a graph."""
    places = _places(graph)
    across, down = (max((place[axis] for place in places.values()), default=0) + 1 for axis in (0, 1))
    width, height = across * (_WIDTH + _ACROSS), down * (_HEIGHT + _DOWN)
    lines = [_line(places[before], places[after]) for before, after in graph.edges]
    boxes = [_box(task, *places[task.name]) for task in graph.tasks]
    return (
        f'<div style="overflow:auto;max-height:40em"><svg xmlns="http://www.w3.org/2000/svg" width="{width}" '
        f'height="{height}" font-family="sans-serif" font-size="13" fill="currentColor" role="img">'
        f"<title>{escape(graph.name)}</title>{''.join(lines)}{''.join(boxes)}</svg></div>"
    )


def _places(graph: WorkflowGraph) -> dict[str, tuple[int, int]]:
    """Column and row of each task: the row is near that of its first upstream task, as far as it is free."""
    places: dict[str, tuple[int, int]] = {}
    free: defaultdict[int, int] = defaultdict(int)
    for task in graph.tasks:
        before = [places[name] for name in task.depends_on]
        column = max((place[0] for place in before), default=-1) + 1
        row = max(free[column], before[0][1] if before else 0)
        places[task.name] = column, row
        free[column] = row + 1
    return places


def _line(start: tuple[int, int], end: tuple[int, int]) -> str:
    (x, y), (to, at) = ((c * (_WIDTH + _ACROSS) + 1, r * (_HEIGHT + _DOWN) + _HEIGHT / 2) for c, r in (start, end))
    x, bend = x + _WIDTH, _ACROSS / 2
    return f'<path d="M{x} {y} C{x + bend} {y} {to - bend} {at} {to} {at}" fill="none" stroke="{GREY}"/>'


def _box(task: GraphTask, column: int, row: int) -> str:
    x, y = column * (_WIDTH + _ACROSS) + 1, row * (_HEIGHT + _DOWN) + 1
    name = task.name if len(task.name) <= _LETTERS else f"{task.name[: _LETTERS - 1]}…"
    state = f"{task.seconds:.3g} s" if task.seconds is not None else ""
    below = ", ".join(filter(None, [task.outcome, state])) or task.kind
    color = COLORS.get(task.status or "", GREY)
    place = f"{task.file}:{task.line}" if task.file else task.kind
    dashes = ' stroke-dasharray="5 3"' if task.map_over else ""
    return (
        f"<g><title>{escape(task.name)}: {escape(place)}</title>"
        f'<rect x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT - 2}" rx="6" fill="none" stroke="{color}" '
        f'stroke-width="1.5"{dashes}/><text x="{x + 10}" y="{y + 18}">{escape(name)}</text>'
        f'<text x="{x + 10}" y="{y + 34}" font-size="11" fill="{color}">{escape(below)}</text></g>'
    )
