"""Trains SAGAN: python train_imagenet.py --generator_type test --data_dir ./data"""

from sagan_tf import cli
from sagan_tf.tools import train

if __name__ == "__main__":
    cli.run(train.COMMAND, train.main)
