"""``molexp plugins``: list and check the installed plugins."""

from __future__ import annotations

from typing import Annotated

import typer

from molexp_cli._failing import FAILED
from molexp_cli._options import JsonOption
from molexp_cli._output import headline, pairs, say, table, write

EPILOG = """
Examples:

\b
  molexp plugins list
  molexp plugins show molexp-fs
  molexp plugins check && echo all of them work
  MOLEXP_DISABLE_PLUGINS=broken-thing molexp plugins list --json
"""


def group() -> typer.Typer:
    """Return the group with its commands."""
    plugins = typer.Typer(
        help="List and check the installed plugins.", no_args_is_help=True, rich_markup_mode=None, epilog=EPILOG
    )
    plugins.command("list", short_help="List plugins without importing them.", epilog=EPILOG)(list_plugins)
    plugins.command("show", short_help="Show what a plugin provides.", epilog=EPILOG)(show_plugin)
    plugins.command("check", short_help="Load every plugin; exit with 1 if one fails.", epilog=EPILOG)(check_plugins)
    return plugins


def list_plugins(as_json: JsonOption = False) -> None:
    """List the plugins from their metadata, without importing them.

    A plugin is "available" until something that it provides is needed. Then it is "loaded" or "broken".
    """
    import molexp
    from molexp.plugins import PluginManager

    manager = PluginManager()
    found = manager.plugins()
    if as_json:
        write(molexp.to_json(list(found), pretty=True))
        return
    table(
        ("PLUGIN", "DISTRIBUTION", "VERSION", "STATUS", "WHY"),
        [(one.name, one.distribution, one.version, one.status, one.cause) for one in found],
    )
    for subject, cause in manager.unknown_names().items():
        say(f"warning: {subject}: {cause}")


def show_plugin(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A plugin's name, or its distribution's.")],
    as_json: JsonOption = False,
) -> None:
    """Show a plugin: its origin, its status, and what it provides.

    This imports all plugins.
    """
    import molexp
    from molexp.plugins import PluginManager

    manager = PluginManager()
    manager.find(name)
    manager.check()
    found = [(one, manager.provides(one)) for one in manager.find(name)]
    if as_json:
        write(
            molexp.to_json(
                [
                    {
                        "name": one.name,
                        "distribution": one.distribution,
                        "version": one.version,
                        "status": one.status,
                        "cause": one.cause,
                        "value": one.value,
                        "provides": provided,
                    }
                    for one, provided in found
                ],
                pretty=True,
            )
        )
        return
    for one, provided in found:
        headline(one.name)
        told = [("status", one.status), ("distribution", f"{one.distribution} {one.version}"), ("code", one.value)]
        told += [("why", one.cause)] if one.cause else []
        pairs([*told, *((what, ", ".join(names)) for what, names in provided.items())], indent=2)


def check_plugins(as_json: JsonOption = False) -> None:
    """Load every plugin. Name those that are not loaded, with the cause, and exit with 1 if there are any.

    Plugins that MOLEXP_PLUGINS or MOLEXP_DISABLE_PLUGINS excludes count as not loaded. Unknown names in these variables are
    reported, too.
    """
    import molexp
    from molexp.plugins import PluginManager

    manager = PluginManager()
    found = manager.check()
    unknown = manager.unknown_names()
    missing = [one for one in found if one.status != "loaded"]
    if as_json:
        write(molexp.to_json({"plugins": list(found), "unknown_names": dict(unknown)}, pretty=True))
    else:
        table(
            ("PLUGIN", "DISTRIBUTION", "VERSION", "STATUS", "WHY"),
            [(one.name, one.distribution, one.version, one.status, one.cause) for one in found],
        )
        for subject, cause in unknown.items():
            say(f"{subject}: {cause}")
    if missing or unknown:
        count = len(missing)
        if count:
            say(f"{count} of {len(found)} plugins {'is' if count == 1 else 'are'} not loaded.")
        raise typer.Exit(FAILED)
