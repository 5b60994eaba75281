"""The table of kits, checks and planted defects in the documentation; ``python -m tests.kits.table`` writes it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from tests.kits import planted_executors, planted_plugins, planted_queues, planted_schemes, planted_stores, test_kinds
from tests.repository import ROOT

PAGE = ROOT / "docs" / "explanation" / "kits.md"
START = "<!-- written by `uv run python -m tests.kits.table`: what is below comes from tests/kits -->\n"

CAUGHT: Mapping[str, Mapping[str, str]] = {
    "StoreTests": {defect: check for defect, (_, check) in planted_stores.DEFECTS.items()},
    "ExecutorTests": {defect: check for defect, (_, check) in planted_executors.DEFECTS.items()},
    "QueueTests": {defect: check for defect, (_, check) in planted_queues.DEFECTS.items()},
    "AssetKindTests": {defect: check for defect, (*_, check) in test_kinds.DEFECTS.items()},
    "RunIdSchemeTests": {defect: check for defect, (_, check) in planted_schemes.DEFECTS.items()},
    "PluginTests": {defect: check for defect, (_, check) in planted_plugins.DEFECTS.items()},
}
"""Kits: the defects that are planted, and the check that catches each."""


def lines() -> Iterator[str]:
    for kit, caught in CAUGHT.items():
        by_check: dict[str, list[str]] = defaultdict(list)
        for defect, check in caught.items():
            by_check[check].append(defect)
        yield f"\n## `{kit}`: {len(caught)} defects\n\n| check | catches |\n|---|---|\n"
        for check, defects in by_check.items():
            yield f"| `{check}` | {'; '.join(defects)} |\n"


def page() -> str:
    """Return the page with the table of today."""
    return PAGE.read_text(encoding="utf-8").partition(START)[0] + START + "".join(lines())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
