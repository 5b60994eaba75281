"""Running: an attempt as the code under it sees it.

Begin with `context`, the vocabulary that runs and tasks share. `capture` records standard output, `shell` runs
commands, `endings` tells what an error says of the end. May import: ``_assets`` and lower.
"""
