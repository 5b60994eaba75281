"""Core's own stores."""
