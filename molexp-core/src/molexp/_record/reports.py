"""Report what maintenance found and did."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field


class Finding(Struct, frozen=True):
    """One thing found.

    Attributes:
        key: the file.
        what: the finding.
        done: the repair; "" if there was none.

    Example:
        >>> for finding in ws.fsck().findings:
        ...     print(finding.key, finding.what)
    """

    key: str
    what: str
    done: str = ""


class Report(Struct, frozen=True):
    """Report what an operation over a whole workspace found and did.

    Attributes:
        operation: its name.
        findings: its findings, in the order in which it came upon them.
        counts: totals, by name.

    Example:
        >>> report = ws.fsck()
        >>> report.ok
        True
    """

    operation: str
    findings: tuple[Finding, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Tell whether nothing was found that is still so."""
        return all(finding.done for finding in self.findings)

    def __str__(self) -> str:
        totals = ", ".join(f"{name} {value}" for name, value in self.counts.items())
        first = f"{self.operation}: {totals or 'nothing to report'}"
        if self.operation == "verify":
            rows, problems = self.counts.get("rows", 0), len(self.findings)
            found = (
                f"found {problems} problem{'' if problems == 1 else 's'}" if problems else "the index matches the files"
            )
            first = f"Checked {rows} row{'' if rows == 1 else 's'}; {found}."
        lines = [first, *(f"  {one.key}: {one.what}{f' ({one.done})' if one.done else ''}" for one in self.findings)]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)
