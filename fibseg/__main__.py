"""``python -m fibseg``: the same as the command ``fibseg``."""

import sys

from fibseg.cli import main

if __name__ == "__main__":
    sys.exit(main())
