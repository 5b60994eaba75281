"""Running: one attempt from `start` to its end, as the code under it sees it.

Begin with `start`. `context` is the vocabulary that runs and tasks share, `capture` records standard output,
`shell` runs commands, `ranks` joins the processes of one launch. May import: ``_assets`` and lower.
"""
