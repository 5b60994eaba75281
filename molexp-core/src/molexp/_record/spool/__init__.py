"""The local spool: what was acknowledged and is not in the store yet, where nothing can be appended to.

On storage with append, a line is in the store when `write` returns. Where every request takes long, or the network may be
away, it lies in a file of this machine first. The file is enough: whoever finds one whose writer is dead brings the rest
into the store.
"""
