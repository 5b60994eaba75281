"""Synchronisation: copying or merging one workspace into another, again and again.

Begin with `sync`. `sides` lists both places, `scopes` and `runs` decide, `copying` moves bytes.
May import: ``_hierarchy`` and lower.
"""
