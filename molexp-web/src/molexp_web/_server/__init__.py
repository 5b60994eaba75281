"""The application: what every request passes, and how it listens."""
