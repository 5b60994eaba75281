"""The code of a task as one hash, or "unknown"; never a guess.

Begin with `hashing`. `files` finds the source text of live code, `objects` tells where code lies.
"""
