"""Makes records of pictures:
    python -m sagan_tf.tools.prepare_data --source ILSVRC2012_img_train.tar --out data/imagenet

`--help` explains the options, data/README.md has complete recipes.
"""

from sagan_tf import cli, config


def main() -> None:
    prepare_config = cli.make(config.PrepareConfig)
    from sagan_tf.data import prepare  # Not above: worker processes import this file too.

    prepare.prepare(prepare_config)


if __name__ == "__main__":
    cli.define(config.PrepareConfig)
    cli.run(main)
