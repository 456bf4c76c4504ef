"""Train CVLNet on a KITTI folder: python train.py --help."""

from cvlnet.published_commands import main, train_script

if __name__ == "__main__":
    main("train.py", train_script)
