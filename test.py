"""Evaluate CVLNet on a KITTI folder: python test.py --help."""

from cvlnet.cli.published import evaluate_script, main

if __name__ == "__main__":
    main("test.py", evaluate_script)
