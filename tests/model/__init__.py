"""The protocol of journals, readers and compaction, explored: the real code under a scheduler that is out to break it."""
