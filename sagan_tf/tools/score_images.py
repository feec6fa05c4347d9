"""Command that scores images that are there already."""

from sagan_tf import cli, config

COMMAND = config.Command(
    about="Scores images that are there already, in files, with the arithmetic of the evaluation. "
    "IMAGES is a directory of pictures or an .npz file.",
    example="samples.npz --data_dir=data/imagenet",
    kinds=(config.ScoreImagesConfig,),
    argument="images",
)


def main() -> None:
    score_config = cli.make(config.ScoreImagesConfig, config.protocol(cli.value("protocol")))

    # TensorFlow starts here, after the flags have been checked.
    from sagan_tf.evaluation import score_images

    score_images.score_images(score_config)


if __name__ == "__main__":
    cli.run(COMMAND, main)
