"""The catalog: a derived, disposable index that answers queries without walking the store.

Begin with `catalog`, the class that users ask. A question goes from `query` to `index`; `refresh` brings the index up to
date; `compaction` folds many journals into one snapshot; `lineage` follows assets between runs.
May import: ``_assets``, ``_query`` and lower.
"""
