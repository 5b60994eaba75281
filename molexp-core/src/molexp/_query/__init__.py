"""The query language of the catalog, from text to an answer about one document.

Begin with `parser`, which turns text into the `expressions`; `evaluation` applies one to a recorded document.
``docs/reference/query-language.md`` states the rules. May import: ``_values``, ``molexp.errors``.
"""
