"""``python -m cvlnet`` is the command ``cvlnet``."""

from cvlnet.cli import main

main()
