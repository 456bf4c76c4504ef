"""The command ``cvlnet``. Each command parses its options, calls one public function and prints the result.

Heavy modules are imported inside the commands that need them, so that help appears at once.
"""

from cvlnet.cli.app import main, run

__all__ = ["main", "run"]
