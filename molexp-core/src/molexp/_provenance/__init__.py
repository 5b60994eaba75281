"""Provenance: how the process of a run came to be, as far as it can be found out.

Begin with `capture`, which writes the document. `git` and `patches` describe the working tree, `secrets` hides what must
not be recorded. May import: ``_storage``, ``_values``, ``molexp.contracts``, ``molexp.errors``.
"""
