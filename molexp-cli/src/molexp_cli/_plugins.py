"""``molexp plugins``: list, check, begin and install plugins."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from molexp_cli._commands import is_ours
from molexp_cli._failing import FAILED
from molexp_cli._formats import Format, OutputOption, form_of, write_records
from molexp_cli._options import JsonOption
from molexp_cli._output import headline, pairs, say, table, write

if TYPE_CHECKING:
    from molexp.plugins import Examination, PluginInfo, PluginManager, Trial

_AT_ONCE = 4  # processes in which plugins are tried
_HEAVY = 1.0  # seconds of importing that are told


def list_plugins(output: OutputOption = None, as_json: JsonOption = False) -> None:
    """List the plugins from their metadata, without importing them, and the interpreter that they are installed for.

    A plugin is "available" until something that it provides is needed. Then it is "loaded" or "broken". What one of others
    provides is known once it was used or checked.

    Examples:
        molexp plugins list
        MOLEXP_DISABLE_PLUGINS=broken-thing molexp plugins list --json
        molexp plugins list --output csv
    """
    import molexp
    from molexp.plugins import PluginManager

    manager = PluginManager()
    found = [(one, manager.declares(one)) for one in manager.plugins()]
    unknown = manager.unknown_names()
    form = form_of(output, as_json)
    if form is not Format.TABLE:
        plugins = [{**_facts(one), "provides": provided} for one, provided in found]
        if form is Format.JSON:
            about = {"interpreter": sys.executable, "prefix": sys.prefix}
            write(molexp.to_json({**about, "plugins": plugins, "unknown_names": dict(unknown)}, pretty=True))
        else:
            write_records(form, plugins)
        return
    table(
        ("PLUGIN", "DISTRIBUTION", "VERSION", "STATUS", "PROVIDES", "WHY"),
        [(one.name, one.distribution, one.version, one.status, _told(provided), one.cause) for one, provided in found],
    )
    say(f"these are the plugins of {sys.executable}, in {sys.prefix}")
    _tell_unknown(unknown, "warning: ")


def show_plugin(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A plugin's name, or its distribution's.")],
    as_json: JsonOption = False,
) -> None:
    """Show a plugin: its origin, its status, and what it provides.

    This imports all plugins that can be imported.

    Examples:
        molexp plugins show molexp-fs
        molexp plugins show molexp-fs --json
    """
    import molexp
    from molexp.plugins import PluginManager

    manager = PluginManager()
    manager.find(name)
    manager.check()
    found = [(one, manager.provides(one), manager.tried(one)) for one in manager.find(name)]
    if as_json:
        write(
            molexp.to_json(
                [{**_facts(one), "provides": provided, "tried": _measured(trial)} for one, provided, trial in found],
                pretty=True,
            )
        )
        return
    for one, provided, trial in found:
        headline(one.name)
        told = [("status", one.status), ("distribution", f"{one.distribution} {one.version}"), ("code", one.value)]
        told += [("why", one.cause)] if one.cause else []
        told += [(what, ", ".join(names)) for what, names in provided.items()]
        told += [("imports", f"{trial.modules} modules in {trial.seconds:.2f} s")] if trial is not None else []
        pairs(told, indent=2)


def check_plugins(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", show_default=False, help="Check this plugin or distribution only.")
    ] = None,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", min=0.1, help="The time that importing one may take.")
    ] = 30.0,
    as_json: JsonOption = False,
) -> None:
    """Try every plugin in a process of its own. Name those that do not work, with the cause, and exit with 1 if there are any.

    If you name one, this also says what its author should mend: large libraries that registering it imports, a missing
    requirement on molexp-core, types or a summary. `PluginTests` of `molexp.testing` tests the same.

    A check is remembered: what was kept out because of an earlier one is used again if it works now. Plugins that
    MOLEXP_PLUGINS or MOLEXP_DISABLE_PLUGINS excludes are not tried. Unknown names in these variables are reported, too.

    Examples:
        molexp plugins check && echo all of them work
        molexp plugins check molexp-lab
    """
    import molexp
    from molexp.plugins import PluginManager

    manager = PluginManager()
    wanted = manager.plugins() if name is None else manager.find(name)
    found = _examined(manager, wanted, timeout)
    unknown = manager.unknown_names() if name is None else {}
    if as_json:
        plugins = [{**_facts(one), **_details(examination)} for one, examination in found]
        write(molexp.to_json({"plugins": plugins, "unknown_names": dict(unknown)}, pretty=True))
    else:
        table(
            ("PLUGIN", "DISTRIBUTION", "VERSION", "STATUS", "SECONDS", "MODULES", "PROVIDES", "KITS", "WHY"),
            [_row(one, examination) for one, examination in found],
        )
        for one, examination in found:
            trial = examination.trial if examination is not None else None
            if trial is not None and trial.seconds > _HEAVY and trial.packages:
                say(f"{one}: importing it takes {trial.seconds:.1f} s, mostly of {', '.join(trial.packages)}")
            for doubt in _doubts(examination, of_one=name is not None):
                say(f"{one}: {doubt}")
        _tell_unknown(unknown, "")
    broken = [one for one, _ in found if one.status == "broken"]
    if broken or unknown:
        if broken:
            say(f"{len(broken)} of {len(found)} plugins {'does' if len(broken) == 1 else 'do'} not work.")
        raise typer.Exit(FAILED)


def _examined(
    manager: PluginManager, wanted: Sequence[PluginInfo], seconds: float
) -> list[tuple[PluginInfo, Examination | None]]:
    """Return plugins as they are after all were loaded, with what was found about those that may be tried."""
    from concurrent.futures import ThreadPoolExecutor

    available = [one for one in wanted if one.status == "available"]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        trials = [*pool.map(lambda one: manager.try_out(one, seconds=seconds), available)]
    found = {str(one): manager.examine(one, trial=trial) for one, trial in zip(available, trials, strict=True)}
    return [
        (one, found.get(str(one)))
        for one in manager.check()
        if any(one.value == other.value and str(one) == str(other) for other in wanted)
    ]


def _doubts(examination: Examination | None, *, of_one: bool) -> Iterable[str]:
    """Return what to tell: all, to whoever checks one plugin; of many, what matters to those who use them."""
    if examination is None:
        return ()
    return [*(examination.doubts if of_one else examination.findings["spelling"]), *_never_called(examination)]


def _never_called(examination: Examination) -> list[str]:
    commands = (examination.provides or {}).get("command", ())
    return [f"its command {name!r} is never called: MolExp has one of that name" for name in commands if is_ours(name)]


def _details(examination: Examination | None) -> dict[str, Any]:
    if examination is None:
        return {"provides": None, "kits": {}, "tried": None, "doubts": []}
    return {
        "provides": examination.provides,
        "kits": dict(examination.kits),
        "tried": _measured(examination.trial),
        "doubts": [*examination.doubts, *_never_called(examination)],
    }


def _row(one: PluginInfo, examination: Examination | None) -> tuple[str, ...]:
    seconds = modules = provides = kits = ""
    if examination is not None:
        trial = examination.trial
        seconds, modules, provides = f"{trial.seconds:.2f}", str(trial.modules), _told(examination.provides)
        kits = " ".join(sorted({kit for kit in examination.kits.values() if kit}))
    return (one.name, one.distribution, one.version, one.status, seconds, modules, provides, kits, one.cause)


def _facts(one: PluginInfo) -> dict[str, Any]:
    return {
        "name": one.name,
        "distribution": one.distribution,
        "version": one.version,
        "status": one.status,
        "cause": one.cause,
        "value": one.value,
        "place": one.place,
    }


def _measured(trial: Trial | None) -> dict[str, Any] | None:
    if trial is None:
        return None
    return {
        "seconds": trial.seconds,
        "modules": trial.modules,
        "packages": list(trial.packages),
        "printed": trial.printed,
        "refused": trial.refused,
    }


def _told(provided: Mapping[str, Iterable[str]] | None) -> str:
    return "; ".join(f"{what} {', '.join(names)}" for what, names in (provided or {}).items())


def _tell_unknown(unknown: Mapping[str, str], prefix: str) -> None:
    for subject, cause in unknown.items():
        say(f"{prefix}{subject}: {cause}")
