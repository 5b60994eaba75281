"""Driving scripts: what ``molexp run`` does, for programs.

::

    from molexp.scripts import Drive

    drive = Drive("train.py", overrides={"lr": 0.1})
    for planned in drive.plan():
        print(planned.path, planned.action, planned.why)
    summary = drive.execute(jobs=4, executor="process")
"""

from __future__ import annotations

from molexp._profiles import ExplainedValue, Profiles, find_profiles, parse_override, read_values, use_profiles
from molexp._profiles.parameters import parse_settings
from molexp._workflow.driving import Drive
from molexp._workflow.explaining import ExplainedRun, ExplainedTask, explain_run
from molexp._workflow.plans import Event, PlannedRun, Summary
from molexp._workflow.repeating import repeat_run
from molexp._workflow.scripts import Script, load_script
from molexp._workflow.selection import LeftOut, Selection
from molexp._workflow.whole_runs import execute_one

__all__ = [
    "Drive",
    "Event",
    "ExplainedRun",
    "ExplainedTask",
    "ExplainedValue",
    "LeftOut",
    "PlannedRun",
    "Profiles",
    "Script",
    "Selection",
    "Summary",
    "execute_one",
    "explain_run",
    "find_profiles",
    "load_script",
    "parse_override",
    "parse_settings",
    "read_values",
    "repeat_run",
    "use_profiles",
]
