"""Command that draws emoji into class folders."""

from sagan_tf import cli, config

COMMAND = config.Command(
    about="Draws pictures of emoji into class folders, as a set to train on. It needs Debian's "
    "packages fonts-noto-color-emoji and unicode-data.",
    example="emoji",
    kinds=(config.EmojiConfig,),
    argument="out",
)


def main() -> None:
    options = cli.make(config.EmojiConfig)
    from sagan_tf.data import emoji  # imported after the flags have been checked

    emoji.write(options)


if __name__ == "__main__":
    cli.run(COMMAND, main)
