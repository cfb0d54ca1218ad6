"""``python -m graphkit`` is ``graphkit``."""

import sys

from graphkit.core.current_folder import leave_out

if __name__ == "__main__":
    leave_out()
    from graphkit.cli import main

    sys.exit(main())
