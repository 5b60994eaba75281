"""Pages for people. Each module has `ROUTES`, which the application collects."""
