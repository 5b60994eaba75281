"""``molexp doctor``: check whether MolExp can work here."""

from __future__ import annotations

import typer

from molexp_cli._failing import FAILED
from molexp_cli._options import JsonOption, WorkspaceOption, given_workspace
from molexp_cli._output import COLORS, on_terminal, printable, say, terminal, wrapped, write


def doctor(ctx: typer.Context, as_json: JsonOption = False, workspace: WorkspaceOption = None) -> None:
    """Check whether MolExp can work here: versions, plugins, the workspace and its storage, the file system, cache, clock, git.

    Each line is ok, warn or fail, and says what you can do. There need be no workspace, and a damaged one is no hindrance. To
    measure the storage it writes a small file into the workspace's .molexp and removes it. Exits with 1 if a line says fail.

    Examples:
        molexp doctor
        molexp -w s3://bucket/lab doctor
        molexp doctor --json | jq '.checks[] | select(.status != "ok")'
    """
    import molexp

    checks = molexp.diagnose(given_workspace(ctx, workspace))
    is_ok = all(check.status != "fail" for check in checks)
    if as_json:
        found = [{"name": one.name, "status": one.status, "found": one.found, "hint": one.hint} for one in checks]
        write(molexp.to_json({"ok": is_ok, "checks": found}, pretty=True))
    else:
        for one in checks:
            _line(one.status, one.name, one.found, one.hint)
        counts = {status: sum(one.status == status for one in checks) for status in ("warn", "fail")}
        if any(counts.values()):
            say(", ".join(f"{count} {status}" for status, count in counts.items() if count), prefix="")
    if not is_ok:
        raise typer.Exit(FAILED)


_STATUS, _NAME = 4, 13  # characters of the first two columns
_LEAST = 20  # the third has at least this many, however narrow the terminal is


def _line(status: str, name: str, found: str, hint: str = "") -> None:
    """Print a line of a checklist, and below it what can be done."""
    head = f"{status:<{_STATUS}}  {name:<{_NAME}}  "
    lines = [(printable(line).replace("\n", " "), False) for line in [found]] + [
        (f"hint: {printable(hint)}", True)
    ] * bool(hint)
    if not on_terminal():
        write("\n".join(f"{' ' * len(head) if is_hint else head}{line}".rstrip() for line, is_hint in lines))
        return
    from rich.text import Text

    console = terminal()
    room = max(_LEAST, console.width - len(head))
    drawn = [(part, is_hint) for line, is_hint in lines for part in wrapped(line, room)]
    for number, (part, is_hint) in enumerate(drawn):
        before = (
            Text(" " * len(head))
            if number
            else Text(head[:_STATUS], style=COLORS.get(status, "")).append(head[_STATUS:], style="not dim bold")
        )
        console.print(before.append(part, style="dim" if is_hint else "not bold"), soft_wrap=True)
