"""Train CVLNet on a KITTI folder: python train.py --help."""

from cvlnet.cli.published import main, train_script

if __name__ == "__main__":
    main("train.py", train_script)
