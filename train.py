"""Thin door: ``python train.py key=value …`` is ``fibseg train key=value …``."""

import sys

from fibseg.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
