"""Copying a workspace to another place, again and again: `sync_workspace`, and what it is made of."""
