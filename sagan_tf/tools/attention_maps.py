"""Command that draws attention maps."""

from sagan_tf import cli, config

COMMAND = config.Command(
    about="Draws the paper's figures of attention maps. Each row has an image with its query "
    "positions and, for each query, where the network looks. RUN is a run's directory or an "
    "exported model.",
    example="checkpoint/imagenet_64 --classes=goldfish --seeds=0-3",
    kinds=(config.AttentionConfig,),
    argument="run",
)


def main() -> None:
    attention_config = cli.make(config.AttentionConfig)
    # TensorFlow starts here, after the flags have been checked.
    from sagan_tf.viewing import attention_maps

    attention_maps.draw(attention_config)


if __name__ == "__main__":
    cli.run(COMMAND, main)
