"""The hierarchy that users open: workspace, project, experiment, run.

Begin with `workspace`. `session` holds what all entities of one opened workspace share; `run_creation` makes runs and
sweeps; `run_context` claims an attempt and ends it with its block; `references` resolves ids.
May import: ``_running``, ``_catalog``, ``_profiles`` and lower.
"""
