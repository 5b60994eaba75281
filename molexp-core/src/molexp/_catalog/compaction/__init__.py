"""Folding the journals of finished writers into snapshots, and deleting what those replace."""
