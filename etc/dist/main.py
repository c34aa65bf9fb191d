# The start script of the one file. shiv's own would show a traceback if the file cannot unpack itself.
import os
import sys

from _bootstrap import bootstrap


def is_placed(root, name):
    """Whether the file called `name` has been unpacked below `root`, or can be."""
    if os.path.isdir(root) and any(entry.startswith(name + "_") for entry in os.listdir(root)):
        return True
    while not os.path.exists(root) and root != os.path.dirname(root):
        root = os.path.dirname(root)
    return os.path.isabs(root) and os.access(root, os.W_OK)


_root = os.environ.get("SHIV_ROOT") or os.path.join(os.path.expanduser("~"), ".shiv")
if not is_placed(_root, os.path.basename(os.path.realpath(sys.argv[0]))):
    sys.exit("This file has to unpack itself, and cannot do so in %s: set SHIV_ROOT to a directory." % _root)
bootstrap()
