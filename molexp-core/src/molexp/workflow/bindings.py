"""The workflow of each experiment in this process."""

from __future__ import annotations

from molexp._workflow.bindings import get_workflow, set_workflow, unset_workflow

__all__ = ["get_workflow", "set_workflow", "unset_workflow"]
