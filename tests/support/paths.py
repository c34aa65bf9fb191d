"""Where the repository's files are."""

from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
"""The top of the repository."""
