# The one file runs this before it imports any package. PYTHONS is set above: the versions of Python that it was built for.
import sys

if "%d.%d" % sys.version_info[:2] not in PYTHONS.split():  # noqa: F821, UP031  # readable for every Python 3
    sys.exit("This file is for Python %s; this is %d.%d." % (PYTHONS, *sys.version_info[:2]))  # noqa: F821, UP031
