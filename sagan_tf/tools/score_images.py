"""Scores images that are there already, with the arithmetic and the record of eval_imagenet.py:
python -m sagan_tf.tools.score_images samples.npz --data_dir=data/imagenet
"""

from sagan_tf import cli, config


def main() -> None:
    score_config = cli.make(config.ScoreImagesConfig, config.protocol(cli.value("protocol")))

    # TensorFlow starts here, after the flags have been checked.
    from sagan_tf.evaluation import score_images

    score_images.score_images(score_config)


if __name__ == "__main__":
    cli.define(config.ScoreImagesConfig)
    cli.run(main, "images")
