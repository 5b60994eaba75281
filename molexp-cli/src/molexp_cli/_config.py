"""``molexp config``: settings of a workspace, and the values of profiles with their origins."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from molexp_cli import _words
from molexp_cli._formats import Format, OutputOption, form_of, write_records
from molexp_cli._options import JsonOption, WorkspaceOption, located
from molexp_cli._output import say, table, write

if TYPE_CHECKING:
    import molexp

_Name = Annotated[str, typer.Argument(metavar="NAME", show_default=False, help="A setting, from `molexp config list`.")]


def list_settings(
    ctx: typer.Context,
    output: OutputOption = None,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """List the settings that count in the workspace, and where each comes from.

    Those marked as stored can be changed with `molexp config set`. Secrets of storage.toml are hidden.

    Examples:
        molexp config list
        molexp config list --json | jq -r '.[].name'
    """
    import molexp

    form = form_of(output, as_json)
    found = molexp.explain_settings(located(ctx, workspace))
    if form is not Format.TABLE:
        write_records(form, [_facts(one) for one in found])
        return
    rows = [(one.name, _words.value(one.value), one.origin, "yes" if one.can_be_set else "") for one in found]
    table(("SETTING", "VALUE", "FROM", "STORED"), rows, least=2)


def get_setting(
    ctx: typer.Context, name: _Name, as_json: JsonOption = False, workspace: WorkspaceOption = None
) -> None:
    """Print the value of a setting that counts in the workspace.

    Examples:
        molexp config get durability
        molexp config get run_id_scheme --json
    """
    found = _setting(located(ctx, workspace), name)
    if as_json:
        _write(found)
    else:
        write(_words.value(found.value))


def set_setting(
    ctx: typer.Context,
    name: _Name,
    value: Annotated[str, typer.Argument(metavar="VALUE", show_default=False, help="The new value.")],
    as_json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Store a setting in the workspace, for everybody who opens it from now on.

    There are run_id_scheme, the name of the scheme that derives run ids, and durability: never, end or always.

    Examples:
        molexp config set durability always
        molexp config set run_id_scheme molexp-1
    """
    opened = located(ctx, workspace)
    _store(opened, name, value)
    counts = _setting(opened, name)
    if counts.value != value:
        say(f"{counts.origin} counts more here: {name} is {counts.value}.")
    if as_json:
        _write(counts)


def unset_setting(
    ctx: typer.Context, name: _Name, as_json: JsonOption = False, workspace: WorkspaceOption = None
) -> None:
    """Remove a stored setting from the workspace, so that the default counts again.

    Examples:
        molexp config unset durability
        molexp -w lab config unset run_id_scheme
    """
    opened = located(ctx, workspace)
    _store(opened, name, None)
    if as_json:
        _write(_setting(opened, name))


def explain_profile(
    profile: Annotated[
        str | None,
        typer.Argument(metavar="[PROFILE]", show_default=False, help="The profile. By default, the defaults alone."),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", show_default=False, help="Read profiles from this file."),
    ] = None,
    script: Annotated[
        Path | None,
        typer.Option(
            "--script",
            "-s",
            metavar="FILE",
            show_default=False,
            help="Look for the profile file beside this script first.",
        ),
    ] = None,
    override: Annotated[
        list[str] | None,
        typer.Option("--override", metavar="NAME=VALUE", help="Override a value, as `molexp run` does. Repeatable."),
    ] = None,
    output: OutputOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show each value of a profile, with the file and line or the option that it comes from.

    The file is molcfg.yaml, .yml, .toml or .json beside the script, or in the current folder.

    Examples:
        molexp config explain gpu
        molexp config explain gpu --script train.py --override optimizer.lr=1e-4
        molexp config explain --config settings.toml --json
    """
    import molexp
    from molexp.scripts import find_profiles, parse_override

    form = form_of(output, as_json)
    profiles = find_profiles(script, config)
    if profiles is None:
        where = repr(str(script.parent if script is not None else Path.cwd()))
        hint = "Name one with --config, or the script that it lies beside with --script."
        raise molexp.NotFoundError("profile file", "molcfg.yaml, .yml, .toml or .json", where=where, hint=hint)
    found = profiles.explain(profile, dict(parse_override(text) for text in override or ()))
    if form is not Format.TABLE:
        records = [
            {
                "name": one.name,
                "value": one.value,
                "origin": one.origin,
                "file": one.file or None,
                "line": one.line or None,
            }
            for one in found
        ]
        write_records(form, records)
        return
    table(
        ("NAME", "VALUE", "FROM", "WHERE"),
        [(one.name, _words.short(one.value), one.origin, one.where) for one in found],
    )


def _store(opened: molexp.Workspace, name: str, value: str | None) -> None:
    if not _setting(opened, name).can_be_set:
        origin = _setting(opened, name).origin
        raise typer.BadParameter(f"{name} is not stored in the workspace. It comes from {origin}.", param_hint="NAME")
    opened.configure(**{name: value})


def _setting(opened: molexp.Workspace, name: str) -> molexp.Setting:
    from difflib import get_close_matches

    import molexp

    found = {one.name: one for one in molexp.explain_settings(opened)}
    if name not in found:
        raise molexp.NotFoundError("setting", name, nearest=get_close_matches(name, found))
    return found[name]


def _facts(one: molexp.Setting) -> dict[str, object]:
    return {"name": one.name, "value": one.value, "from": one.origin, "stored": one.can_be_set}


def _write(one: molexp.Setting) -> None:
    import molexp

    write(molexp.to_json(_facts(one), pretty=True))
