"""Charts of metrics: which curves a page has, as settings that `charts.js` reads; the points come from the API."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from starlette.requests import Request

from molexp_web._pages.api_links import api_link
from molexp_web._pages.forms import DONE

_CHARTS = 12  # that are shown unless the address names others
_NAMED = 60  # that may be named
_POINTS = 600  # of a curve


def chart_settings(request: Request, runs: Mapping[str, str], metrics: Iterable[str]) -> dict[str, Any]:
    """Return what the charts of a page need.

    Args:
        request: its address may name metrics, ``?metric=loss&metric=val/loss``.
        runs: paths of runs, each of which is a curve in every chart, with the names that are shown.
        metrics: the names that there are.
    """
    names = sorted(metrics, key=_by_group)
    wanted = [name for name in dict.fromkeys(request.query_params.getlist("metric")) if name in names][:_NAMED]
    shown = wanted or names[:_CHARTS]
    return {
        "runs": [*runs],
        "labels": [*runs.values()],
        "names": shown,
        "others": [name for name in names if name not in shown],
        "points": _POINTS,
        "limit": max(1, len(runs)),
        "address": api_link(request, "metrics"),
    }


def kept_query(request: Request, *without: str) -> list[tuple[str, str]]:
    """Return the query of this page, as pairs, without some names."""
    return [pair for pair in request.query_params.multi_items() if pair[0] not in (DONE, *without)]


def _by_group(name: str) -> tuple[str, str]:
    """Return a key by which losses come first, and what belongs together stands together."""
    last = name.rpartition("/")[2].lower()
    return ("0" if "loss" in last else "1" if "acc" in last or "err" in last else "2") + last, name


def last_values(found: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the summaries of metrics in the order of the charts."""
    return sorted(found.items(), key=lambda one: _by_group(one[0]))
