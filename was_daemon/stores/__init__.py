"""What several store plugins share."""
