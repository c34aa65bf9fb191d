"""The `was-daemon` command."""
