"""Storage, as the rest of the core uses it.

`layout` spells every key of a workspace. The other modules are stores around a store (`wrapper`, `read_only`), the store
in `memory`, the order in which bytes become durable, and the `spool` of this machine.
May import: ``molexp.contracts`` and lower.
"""
