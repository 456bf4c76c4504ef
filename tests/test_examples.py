"""Every example runs as it is."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
SCRIPTS = sorted(path.name for path in EXAMPLES.glob("*.py") if path.name != "town.py")


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS)
def test_example_runs(script):
    done = subprocess.run([sys.executable, EXAMPLES / script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_every_example_is_in_the_list():
    listed = (EXAMPLES / "README.md").read_text()
    assert SCRIPTS
    assert all(f"`{script}`" in listed for script in SCRIPTS)
