"""Views: runs for display and for other programs."""
