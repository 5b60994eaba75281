"""The record: the documents of a workspace, read and folded into what is true.

Begin with `reading`, which reads one run, and `folding`, the pure functions it uses. `attempts` and `ends`,
`edits` and `definitions` know one kind of document each; `owners` and `leases` tell whether a writer is alive.
May import: ``_storage``, ``_values``, ``molexp.contracts``, ``molexp.errors``.
"""
