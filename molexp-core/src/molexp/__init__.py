"""MolExp: tracked runs as a durable research record. No server, no database, no lock file.

::

    import molexp as me

    ws = me.Workspace("./lab")
    exp = ws.Project("metals").Experiment("cu", params={"a": 3.6})
    with exp.Run({"a": 3.5}).start() as ctx:
        ctx.set_result("energy", -3.72)
        ctx.artifact.save("volumes.json", [11.2, 11.8])
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from molexp import errors
from molexp._record.definitions import Members
from molexp._record.experiment import Experiment, Runs
from molexp._record.project import Project
from molexp._record.rows import Rows
from molexp._record.run import Run
from molexp._record.workspace import Workspace
from molexp._values.status import Cause, RunStatus
from molexp.contracts import AssetKind
from molexp.errors import *  # noqa: F403 - every error is importable from here too

if TYPE_CHECKING:
    from molexp._record.accessors import Accessor
    from molexp._record.assets import (
        ArtifactAsset,
        Asset,
        CheckpointAsset,
        DataAsset,
        ErrorTraceAsset,
        ExecutionStateAsset,
        LogAsset,
        MetricsAsset,
        Producer,
        UnknownAsset,
    )
    from molexp._record.catalog.catalog import Catalog
    from molexp._record.catalog.lineage import Lineage, LineageEdge, LineageNode
    from molexp._record.catalog.run_rows import RunRow
    from molexp._record.commands import TrackedCommand, track_command
    from molexp._record.context import Context
    from molexp._record.data import DataAssets
    from molexp._record.describing import describe_run, to_json
    from molexp._record.entry import entry
    from molexp._record.following import LogLine, read_logs
    from molexp._record.locating import locate_workspace
    from molexp._record.metrics import Metrics
    from molexp._record.reports import Finding, Report
    from molexp._record.run_context import RunContext
    from molexp._record.streams import LogHandle, LogReader, Logs
    from molexp._record.syncing.follow import follow_workspace
    from molexp._record.syncing.reports import SyncProgress, SyncReport
    from molexp._record.syncing.sync import sync_workspace
    from molexp._record.words import parse_parameters
    from molexp._values.graph import GraphTask, WorkflowGraph
    from molexp._values.sweeps import grid
    from molexp.hookspecs import hookimpl
    from molexp.plugins import PluginManager

__all__ = [
    "Accessor",
    "ArtifactAsset",
    "Asset",
    "AssetKind",
    "Catalog",
    "Cause",
    "CheckpointAsset",
    "Context",
    "DataAsset",
    "DataAssets",
    "ErrorTraceAsset",
    "ExecutionStateAsset",
    "Experiment",
    "ExperimentT",
    "Finding",
    "GraphTask",
    "Lineage",
    "LineageEdge",
    "LineageNode",
    "LogAsset",
    "LogHandle",
    "LogLine",
    "LogReader",
    "Logs",
    "Members",
    "Metrics",
    "MetricsAsset",
    "PluginManager",
    "Producer",
    "Project",
    "ProjectT",
    "Report",
    "Rows",
    "Run",
    "RunContext",
    "RunRow",
    "RunStatus",
    "RunT",
    "Runs",
    "SyncProgress",
    "SyncReport",
    "TrackedCommand",
    "UnknownAsset",
    "WorkflowGraph",
    "Workspace",
    "describe_run",
    "entry",
    "errors",
    "follow_workspace",
    "grid",
    "hookimpl",
    "locate_workspace",
    "parse_parameters",
    "read_logs",
    "sync_workspace",
    "to_json",
    "track_command",
]
__all__ += errors.__all__

__version__ = "0.1.0"

ProjectT: TypeAlias = Project
"""`Project`, for annotations: within `Workspace` and its subclasses that name is the method."""

ExperimentT: TypeAlias = Experiment
"""`Experiment`, for annotations: within `Project` and its subclasses that name is the method."""

RunT: TypeAlias = Run
"""`Run`, for annotations: within `Experiment` and its subclasses that name is the method."""

_LATE = {  # what costs time to import, by where it is
    "molexp._record.accessors": ("Accessor",),
    "molexp._record.assets": (
        "ArtifactAsset",
        "Asset",
        "CheckpointAsset",
        "DataAsset",
        "ErrorTraceAsset",
        "ExecutionStateAsset",
        "LogAsset",
        "MetricsAsset",
        "Producer",
        "UnknownAsset",
    ),
    "molexp._record.catalog.catalog": ("Catalog",),
    "molexp._record.catalog.run_rows": ("RunRow",),
    "molexp._record.catalog.lineage": ("Lineage", "LineageEdge", "LineageNode"),
    "molexp._record.commands": ("TrackedCommand", "track_command"),
    "molexp._record.context": ("Context",),
    "molexp._record.data": ("DataAssets",),
    "molexp._record.describing": ("describe_run", "to_json"),
    "molexp._record.following": ("LogLine", "read_logs"),
    "molexp._record.locating": ("locate_workspace",),
    "molexp._record.reports": ("Finding", "Report"),
    "molexp._record.run_context": ("RunContext",),
    "molexp._record.metrics": ("Metrics",),
    "molexp._record.streams": ("LogHandle", "LogReader", "Logs"),
    "molexp._record.syncing.reports": ("SyncProgress", "SyncReport"),
    "molexp._record.syncing.follow": ("follow_workspace",),
    "molexp._record.syncing.sync": ("sync_workspace",),
    "molexp._record.words": ("parse_parameters",),
    "molexp._record.entry": ("entry",),
    "molexp._values.graph": ("GraphTask", "WorkflowGraph"),
    "molexp._values.sweeps": ("grid",),
    "molexp.hookspecs": ("hookimpl",),
    "molexp.plugins": ("PluginManager",),
}
_HOME = {name: module for module, names in _LATE.items() for name in names}


if not TYPE_CHECKING:  # to a type checker it would make every misspelt name one of unknown type

    def __getattr__(name: str) -> Any:
        if name in _HOME:
            from importlib import import_module

            return getattr(import_module(_HOME[name]), name)
        raise AttributeError(f"module 'molexp' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
