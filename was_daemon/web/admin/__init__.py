"""The routes of monitoring, on endpoints of their own that the public does not reach."""
