"""``python -m graphkit`` is ``graphkit``."""

import sys

from graphkit.cli import main

if __name__ == "__main__":
    sys.exit(main())
