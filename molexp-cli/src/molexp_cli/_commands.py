"""Every command there is. A command is imported when it is called, so help and completion import none.

To add a command, write a function in a module, and a line in `SECTIONS`. The docstring of the function is its help. From
``Examples:`` on, it stands below the options.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from importlib import import_module
from inspect import cleandoc
from typing import Any, NamedTuple

import typer

CONTEXT: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

COMPLETES = "_MOLEXP_COMPLETE"
"""The environment variable by which a shell asks how a word may go on, as Typer has it."""


class Command(NamedTuple):
    """A command: the place of its function, as ``module:function`` in this package, and one line for lists of commands."""

    place: str
    summary: str


class Group(NamedTuple):
    """A group of commands: one line for lists of commands, its commands, and where to read on."""

    summary: str
    commands: Mapping[str, Command]
    epilog: str = ""


SECTIONS: Mapping[str, Mapping[str, Command | Group]] = {
    "Begin": {
        "init": Command("_workspace:init", "Make a workspace."),
    },
    "Execute": {
        "run": Command("_run:run", "Run a script's experiments."),
        "execute": Command("_run:execute", "Execute existing runs."),
        "exec": Command("_exec:execute", "Track any command as a run."),
        "import": Command("_import:import_folders", "Record old folders of results as runs."),
        "rerun": Command("_rerun:rerun", "Execute a run again with its code of then, and compare."),
        "submit": Command("_queue:submit", "Submit a script's runs to a queue."),
        "resubmit": Command("_queue:resubmit", "Submit runs again that failed."),
        "queue": Command("_queue:queue", "Ask the queues what became of submitted runs."),
    },
    "Read": {
        "info": Command("_workspace:info", "Show what is in the workspace, and who writes to it."),
        "status": Command("_workspace:status", "The same as info."),
        "ls": Command("_ls:ls", "List projects, experiments, runs or assets: one level."),
        "runs": Group(
            "List, tag, archive, delete and cancel runs.",
            {
                "list": Command("_runs:list_runs", "List runs; filter and sort them."),
                "tag": Command("_marking:tag_runs", "Add a tag to runs."),
                "untag": Command("_marking:untag_runs", "Remove a tag from runs."),
                "note": Command("_marking:note_runs", "Add a note to runs."),
                "archive": Command("_marking:archive_runs", "Hide runs in lists."),
                "unarchive": Command("_marking:unarchive_runs", "Show archived runs in lists again."),
                "delete": Command("_marking:delete_runs", "Delete runs; gc frees their storage."),
                "restore": Command("_marking:restore_runs", "Bring back deleted runs."),
                "cancel": Command("_marking:cancel_runs", "Ask runs to stop."),
            },
            "See also: molexp show.",
        ),
        "show": Command("_show:show", "Show everything on record about a run."),
        "logs": Command("_logs:logs", "Print the logs of a run, also while it runs."),
        "watch": Command("_watch:watch", "Show the runs that go on, as they do."),
        "compare": Command("_compare:compare", "Show how runs differ."),
        "why": Command("_why:why", "Explain why a run would be executed or skipped."),
        "report": Command("_report.command:report", "Write one HTML file that shows runs."),
        "plot": Command("_plot:plot", "Draw a result against a parameter, or a metric over its steps."),
        "lineage": Command("_lineage:lineage", "Show what an asset or a run was made from, and what used it."),
        "assets": Group(
            "List, show, copy and import assets: the files of runs, and data.",
            {
                "list": Command("_assets:list_assets", "List assets; filter them."),
                "show": Command("_assets_show:show_asset", "Describe an asset, with the fields of its kind."),
                "get": Command("_assets_get:get_asset", "Copy an asset's file or folder to this machine."),
                "add": Command("_assets_add:add_asset", "Import a file or folder as data, for runs to find."),
            },
            "See also: molexp lineage.",
        ),
    },
    "Change": {
        "cancel": Command("_marking:cancel", "Ask runs to stop."),
        "archive": Command("_marking:archive", "Hide runs in lists."),
        "unarchive": Command("_marking:unarchive", "Show archived runs in lists again."),
        "delete": Command("_marking:delete", "Delete runs; gc frees their storage."),
        "restore": Command("_marking:restore", "Bring back deleted runs."),
    },
    "Organize": {
        "projects": Group(
            "List, rename, archive and delete projects.",
            {
                "list": Command("_scopes:list_projects", "List projects, with counts of their runs."),
                "rename": Command("_scopes:rename_project", "Give a project another name."),
                "archive": Command("_scopes:archive_projects", "Hide projects in lists."),
                "unarchive": Command("_scopes:unarchive_projects", "Show archived projects in lists again."),
                "delete": Command("_scopes:delete_projects", "Delete projects with all of their runs."),
                "restore": Command("_scopes:restore_projects", "Bring back deleted projects."),
            },
            "See also: molexp ls.",
        ),
        "experiments": Group(
            "List, rename, archive and delete experiments.",
            {
                "list": Command("_scopes:list_experiments", "List experiments, with counts of their runs."),
                "rename": Command("_scopes:rename_experiment", "Give an experiment another name."),
                "archive": Command("_scopes:archive_experiments", "Hide experiments in lists."),
                "unarchive": Command("_scopes:unarchive_experiments", "Show archived experiments in lists again."),
                "delete": Command("_scopes:delete_experiments", "Delete experiments with all of their runs."),
                "restore": Command("_scopes:restore_experiments", "Bring back deleted experiments."),
            },
            "See also: molexp ls.",
        ),
    },
    "Maintain": {
        "export": Command("_export.command:export", "Export runs: rows, or an archive of their files."),
        "sync": Command("_sync:sync", "Copy a workspace, or merge it into another one."),
        "doctor": Command("_doctor:doctor", "Check whether MolExp can work here."),
        "completion": Command("_completion:completion", "Print a script by which a shell completes words."),
        "fsck": Command("_fsck:fsck", "Check a workspace for damaged, missing or changed files."),
        "gc": Command("_gc:gc", "Free the storage of deleted runs and killed processes."),
        "config": Group(
            "Show and change settings; explain the values of profiles.",
            {
                "list": Command("_config:list_settings", "List settings, and where each comes from."),
                "get": Command("_config:get_setting", "Print the value of a setting."),
                "set": Command("_config:set_setting", "Store a setting in the workspace."),
                "unset": Command("_config:unset_setting", "Remove a stored setting."),
                "explain": Command("_config:explain_profile", "Show where each value of a profile comes from."),
            },
        ),
        "catalog": Group(
            "Check and rebuild the index that answers queries.",
            {
                "verify": Command("_catalog:verify", "Compare the index with the files, and correct it."),
                "rebuild": Command("_catalog:rebuild", "Rebuild the index from the files."),
                "compact": Command("_catalog:compact", "Fold journals into a snapshot."),
                "unreadable": Command("_catalog:unreadable", "List files that cannot be read."),
            },
        ),
        "plugins": Group(
            "List, check, begin and install plugins.",
            {
                "list": Command("_plugins:list_plugins", "List plugins without importing them."),
                "show": Command("_plugins:show_plugin", "Show what a plugin provides."),
                "check": Command("_plugins:check_plugins", "Try every plugin; exit with 1 if one fails."),
                "new": Command("_plugins_new:new", "Begin a plugin of your own."),
                "install": Command("_plugins_install:install", "Install a plugin for this interpreter."),
            },
        ),
    },
}


def is_ours(name: str) -> bool:
    """Tell whether MolExp has a command or a group of this name itself: one of a plugin is never called then."""
    return any(name in entries for entries in SECTIONS.values())


class Commands(MutableMapping[str, Any]):
    """The commands of a group by their names, in order, each built when you ask for it."""

    def __init__(self, entries: Mapping[str, Command | Group]) -> None:
        self._entries = entries
        self._built: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        """Return a command; build it first if that was not done before."""
        if name not in self._built:
            entry = self._entries[name]
            self._built[name] = _group(name, entry) if isinstance(entry, Group) else _command(name, entry)
        return self._built[name]

    def __setitem__(self, name: str, command: Any) -> None:
        """Add a command that is built already."""
        self._built[name] = command

    def __delitem__(self, name: str) -> None:
        """Forget a command that was added."""
        del self._built[name]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter({**self._entries, **self._built})

    def __len__(self) -> int:
        """Return the number of commands."""
        return len({**self._entries, **self._built})


class LazyGroup(typer.core.TyperGroup):
    """A group whose lists of commands are made from summaries, without importing the commands."""

    sections: Mapping[str, Mapping[str, Command | Group]] = {}

    def __init__(self, **settings: Any) -> None:
        """Take the settings of a group, and its commands from `sections`."""
        super().__init__(**settings)
        self.commands = Commands({name: one for entries in self.sections.values() for name, one in entries.items()})

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands, section by section."""
        width = max(len(name) for entries in self.sections.values() for name in entries)
        for title, entries in self.sections.items():
            with formatter.section(title):
                formatter.write_dl([(f"{name:<{width}}", entry.summary) for name, entry in entries.items()])


def built(name: str, function: Callable[..., Any], **settings: Any) -> Any:
    """Return a command of a function with the annotations that Typer reads; the settings are those of `typer.Typer.command`."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command(name, context_settings=CONTEXT, **settings)(function)
    command = typer.main.get_command(app)
    if COMPLETES in os.environ:
        from molexp_cli._completing import attach

        attach(command, name)
    return command


def _command(name: str, entry: Command) -> Any:
    module, _, function = entry.place.partition(":")
    found = getattr(import_module(f"{__package__}.{module}"), function)
    text, mark, examples = cleandoc(found.__doc__ or "").partition("\nExamples:\n")
    # A paragraph that begins with a backspace is not wrapped.
    epilog = f"Examples:\n\n\b\n{examples}".replace("\n    ", "\n  ") if mark else None
    return built(name, found, help=text.rstrip(), epilog=epilog, short_help=entry.summary)


def _group(name: str, entry: Group) -> Any:
    kind = type(f"{name.capitalize()}Group", (LazyGroup,), {"sections": {"Commands": entry.commands}})
    app = typer.Typer(
        name=name,
        cls=kind,
        help=entry.summary,
        short_help=entry.summary,
        epilog=entry.epilog or None,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        suggest_commands=False,
        context_settings=CONTEXT,
    )
    app.callback()(_nothing)
    return typer.main.get_command(app)


def _nothing() -> None:
    """Do nothing: the group itself has no options."""
