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

from typing import TYPE_CHECKING, TypeAlias

from molexp._values import light_msgspec  # noqa: F401 - before anything else imports msgspec

# isort: split
from molexp import errors
from molexp._hierarchy.experiment import Experiment, Runs
from molexp._hierarchy.project import Project
from molexp._hierarchy.run import Run
from molexp._hierarchy.workspace import Workspace
from molexp._record.definitions import Members
from molexp._values.late_names import late_names
from molexp._values.status import Cause, RunStatus
from molexp._values.tables import Pages, Rows
from molexp.contracts import AssetKind
from molexp.errors import *  # noqa: F403 - every error is importable from here too

if TYPE_CHECKING:
    from molexp._assets.accessors import Accessor
    from molexp._assets.assets import (
        ArtifactAsset,
        CheckpointAsset,
        DataAsset,
        ErrorTraceAsset,
        ExecutionStateAsset,
        LogAsset,
        MetricsAsset,
        UnknownAsset,
    )
    from molexp._assets.curves import Curve, CurvePoints
    from molexp._assets.data_assets import DataAssets
    from molexp._assets.logs import LogReader, Logs
    from molexp._assets.metrics import Metrics
    from molexp._assets.run_metrics import RunMetrics
    from molexp._assets.streams import LogHandle
    from molexp._catalog.lineage.graph import Lineage, LineageEdge, LineageNode
    from molexp._catalog.query.near_misses import NearMiss
    from molexp._catalog.query.totals import Totals
    from molexp._exec.commands import TrackedCommand, track_command
    from molexp._hierarchy.catalog import Catalog
    from molexp._hierarchy.changing import Changed, change_runs
    from molexp._hierarchy.entry import entry
    from molexp._hierarchy.location import locate_workspace
    from molexp._hierarchy.run_context import RunContext, SkippedRun
    from molexp._hierarchy.run_rows import RunRow
    from molexp._profiles.parameters import parse_parameters
    from molexp._record.reports import Finding, Report
    from molexp._running.context import Context
    from molexp._sync.follow import follow_workspace
    from molexp._sync.reports import SyncProgress, SyncReport
    from molexp._sync.sync import sync_workspace
    from molexp._values.downsampling import downsample
    from molexp._values.graph import GraphTask, WorkflowGraph
    from molexp._values.sweeps import grid
    from molexp._views.description import describe_run, to_json
    from molexp._views.diagnosis import Check, diagnose
    from molexp._views.log_reading import LogLine, follow_logs, read_logs
    from molexp._views.record_files import RecordFile, record_files
    from molexp._views.settings import Setting, explain_settings
    from molexp._views.workspaces import describe_workspace
    from molexp.contracts._assets import Asset, Producer
    from molexp.hookspecs import hookimpl
    from molexp.plugins import PluginManager

__all__ = [
    "Accessor",
    "ArtifactAsset",
    "Asset",
    "AssetKind",
    "Catalog",
    "Cause",
    "Changed",
    "Check",
    "CheckpointAsset",
    "Context",
    "Curve",
    "CurvePoints",
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
    "NearMiss",
    "Pages",
    "PluginManager",
    "Producer",
    "Project",
    "ProjectT",
    "RecordFile",
    "Report",
    "Rows",
    "Run",
    "RunContext",
    "RunMetrics",
    "RunRow",
    "RunStatus",
    "RunT",
    "Runs",
    "Setting",
    "SkippedRun",
    "SyncProgress",
    "SyncReport",
    "Totals",
    "TrackedCommand",
    "UnknownAsset",
    "WorkflowGraph",
    "Workspace",
    "change_runs",
    "describe_run",
    "describe_workspace",
    "diagnose",
    "downsample",
    "entry",
    "errors",
    "explain_settings",
    "follow_logs",
    "follow_workspace",
    "grid",
    "hookimpl",
    "locate_workspace",
    "parse_parameters",
    "read_logs",
    "record_files",
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

_LATE = {  # names that take time to import, by module
    "molexp._assets.accessors": ("Accessor",),
    "molexp._assets.assets": (
        "ArtifactAsset",
        "CheckpointAsset",
        "DataAsset",
        "ErrorTraceAsset",
        "ExecutionStateAsset",
        "LogAsset",
        "MetricsAsset",
        "UnknownAsset",
    ),
    "molexp.contracts._assets": ("Asset", "Producer"),
    "molexp._catalog.query.near_misses": ("NearMiss",),
    "molexp._catalog.query.totals": ("Totals",),
    "molexp._hierarchy.catalog": ("Catalog",),
    "molexp._hierarchy.changing": ("Changed", "change_runs"),
    "molexp._hierarchy.run_rows": ("RunRow",),
    "molexp._catalog.lineage.graph": ("Lineage", "LineageEdge", "LineageNode"),
    "molexp._exec.commands": ("TrackedCommand", "track_command"),
    "molexp._running.context": ("Context",),
    "molexp._assets.data_assets": ("DataAssets",),
    "molexp._views.description": ("describe_run", "to_json"),
    "molexp._views.diagnosis": ("Check", "diagnose"),
    "molexp._views.log_reading": ("LogLine", "follow_logs", "read_logs"),
    "molexp._views.record_files": ("RecordFile", "record_files"),
    "molexp._views.settings": ("Setting", "explain_settings"),
    "molexp._views.workspaces": ("describe_workspace",),
    "molexp._hierarchy.location": ("locate_workspace",),
    "molexp._record.reports": ("Finding", "Report"),
    "molexp._hierarchy.run_context": ("RunContext", "SkippedRun"),
    "molexp._assets.metrics": ("Metrics",),
    "molexp._assets.curves": ("Curve", "CurvePoints"),
    "molexp._assets.run_metrics": ("RunMetrics",),
    "molexp._assets.logs": ("LogReader", "Logs"),
    "molexp._assets.streams": ("LogHandle",),
    "molexp._sync.reports": ("SyncProgress", "SyncReport"),
    "molexp._sync.follow": ("follow_workspace",),
    "molexp._sync.sync": ("sync_workspace",),
    "molexp._profiles.parameters": ("parse_parameters",),
    "molexp._hierarchy.entry": ("entry",),
    "molexp._values.downsampling": ("downsample",),
    "molexp._values.graph": ("GraphTask", "WorkflowGraph"),
    "molexp._values.sweeps": ("grid",),
    "molexp.hookspecs": ("hookimpl",),
    "molexp.plugins": ("PluginManager",),
}

if not TYPE_CHECKING:  # to a type checker it would make every misspelt name one of unknown type
    __getattr__ = late_names(__name__, _LATE)


def __dir__() -> list[str]:
    return sorted(__all__)
