"""The catalog: a derived, disposable index that answers queries without walking the store."""
