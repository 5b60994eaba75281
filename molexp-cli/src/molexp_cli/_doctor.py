"""``molexp doctor``: check whether MolExp can work here."""

from __future__ import annotations

import typer

from molexp_cli._failing import FAILED
from molexp_cli._options import JsonOption, WorkspaceOption, given_workspace
from molexp_cli._output import checklist, say, write


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
            checklist(one.status, one.name, one.found, one.hint)
        counts = {status: sum(one.status == status for one in checks) for status in ("warn", "fail")}
        if any(counts.values()):
            say(", ".join(f"{count} {status}" for status, count in counts.items() if count), prefix="")
    if not is_ok:
        raise typer.Exit(FAILED)
