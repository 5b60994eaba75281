"""The local spool: what a writer acknowledged and the store does not hold yet.

A store with append holds a line when `write` returns. Where each request takes long, or the network may be away, the
line lies in a file of this machine first. That file is enough: whoever finds one whose writer is dead brings the rest
into the store.
"""
