"""The code of a task as one hash, or "unknown"; never a guess.

Begin with `hashing`. `walk` follows the names and objects of a task. `files` finds the source of live code and `syntax`
analyses it, `objects` looks into live objects, `locations` tells which code is the user's. May import: ``_values``.
"""
