"""Command that trains and scores a small model of the embedded digits."""

from sagan_tf import cli, config
from sagan_tf.runtime import demo

COMMAND = config.Command(
    about="Trains a small SAGAN on the 1,797 handwritten digits that come with this package, and "
    "scores it with their own classifier. That takes six to twelve minutes on two CPU cores and "
    "needs neither a GPU nor a network. All that it makes goes into --checkpoint_dir.",
    example="",
    kinds=(config.DemoConfig,),
)


def main() -> None:
    demo.run(cli.make(config.DemoConfig))


if __name__ == "__main__":
    cli.run(COMMAND, main)
