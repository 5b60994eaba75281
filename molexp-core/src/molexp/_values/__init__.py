"""Values: canonical JSON, ids, plain values, documents and times. No I/O; nothing here knows of stores or runs."""
