"""Assets: typed, named, versioned records about bytes, and the ways to save, find and load them.

Begin with `assets`, the values, and `registry`, the kinds of one workspace. `payloads` writes bytes, `streams` writes
logs and metrics, `logs` reads logs, `data_assets` imports files. May import: ``_recording`` and lower.
"""
