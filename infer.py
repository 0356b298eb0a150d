"""Thin door: ``python infer.py key=value …`` is ``fibseg infer key=value …``."""

import sys

from fibseg.cli import main

if __name__ == "__main__":
    sys.exit(main(["infer", *sys.argv[1:]]))
