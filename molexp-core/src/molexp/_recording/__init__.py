"""Recording: one writer of one attempt, and the process that it belongs to.

Begin with `attempt`, the coordinator's side. `contributors` are workers and ranks; `process` holds what exists once in a
process: its identity, its heartbeat, its signal handlers. May import: ``_record`` and lower.
"""
