"""``python -m graphkit`` is ``graphkit``."""

import os
import sys

if sys.path[:1] == [os.getcwd()] and not sys.flags.safe_path:
    # The current folder, by -m: a csv.py there would be taken for Python's own. In a clone graphkit itself lies there.
    folder = sys.path.pop(0)
    if os.path.dirname(os.path.dirname(os.path.abspath(__file__))) == folder:
        sys.path.append(folder)

from graphkit.cli import main

if __name__ == "__main__":
    sys.exit(main())
