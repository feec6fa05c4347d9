"""Command that shows a page on which people click into images."""

from sagan_tf import cli, config

COMMAND = config.Command(
    about="Shows a page in your browser: click on a pixel and see where it looks. Also classes, "
    "truncation, interpolations, checkpoints, and what the discriminator says of your own picture. "
    "The page is on this machine only and loads nothing from outside. RUN is a run's directory or "
    "an exported model. It needs Werkzeug, which TensorBoard brings.",
    example="checkpoint/imagenet_64",
    kinds=(config.ExploreConfig,),
    argument="run",
)


def main() -> None:
    explore_config = cli.make(config.ExploreConfig)
    # TensorFlow starts here, after the flags have been checked.
    from sagan_tf.viewing import explore_start

    explore_start.start(explore_config)


if __name__ == "__main__":
    cli.run(COMMAND, main)
