"""Values: plain data, canonical JSON, documents, ids, times and tables. They know of no store and no run.

Begin with `plain`: it turns Python objects into what JSON can hold, and back. `documents` makes bytes of that.
May import: ``molexp.errors``.
"""
