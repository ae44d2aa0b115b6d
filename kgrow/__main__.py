"""`python -m kgrow`."""

import sys

from kgrow.cli import main

if __name__ == "__main__":
    sys.exit(main())
