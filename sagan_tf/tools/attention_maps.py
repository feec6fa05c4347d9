"""The paper's figures of attention maps, from a run's directory or an exported model:
python -m sagan_tf.tools.attention_maps checkpoint/imagenet_64 --classes=goldfish --seeds=0-3
"""

from sagan_tf import cli, config


def main() -> None:
    attention_config = cli.make(config.AttentionConfig)
    # TensorFlow starts here, after the flags have been checked.
    from sagan_tf.viewing import attention_maps

    attention_maps.draw(attention_config)


if __name__ == "__main__":
    cli.define(config.AttentionConfig)
    cli.run(main, "run")
