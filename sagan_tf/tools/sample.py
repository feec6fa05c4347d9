"""Command that draws images of chosen classes and seeds."""

from sagan_tf import cli, config

COMMAND = config.Command(
    about="Draws images of chosen classes and seeds. It makes a labelled grid, arrays, single "
    "files, an interpolation, or images beside their nearest training images (--nearest). RUN is a "
    "run's directory or an exported model.",
    example="checkpoint/imagenet_64 --classes=goldfish,n02510455 --seeds=0-7",
    kinds=(config.SampleConfig,),
    argument="run",
)


def main() -> None:
    sample_config = cli.make(config.SampleConfig)
    from sagan_tf.viewing import sample  # TensorFlow starts here, after the flags have been checked

    sample.sample(sample_config)


if __name__ == "__main__":
    cli.run(COMMAND, main)
