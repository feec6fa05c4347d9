"""Scores SAGAN: python eval_imagenet.py --generator_type test --data_dir ./data
or, by the directory of the run: python eval_imagenet.py checkpoint/imagenet_64
"""

from sagan_tf import cli
from sagan_tf.tools import eval as evaluate

if __name__ == "__main__":
    cli.run(evaluate.COMMAND, evaluate.main)
