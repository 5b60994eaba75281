"""The reader's index: SQLite tables in the cache folder, and the rows in them."""
