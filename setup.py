"""Package list; everything else is declared in pyproject.toml.

`twisted/plugins` and `storage_plugins` are plugin directories: other distributions and administrators add files to
packages of the same names, so they are listed by hand instead of being discovered.
"""

from setuptools import find_packages, setup

setup(packages=[*find_packages(include=["was_daemon", "was_daemon.*"]), "twisted.plugins", "storage_plugins"])
