"""The hierarchy that users open: workspace, project, experiment, run.

Begin with `workspace`. `session` holds what all entities of one opened workspace share; `run_creation` makes runs and
sweeps; `run_context` is an attempt as its block sees it; `references` resolves ids.
May import: ``_running``, ``_catalog``, ``_profiles`` and lower.
"""
