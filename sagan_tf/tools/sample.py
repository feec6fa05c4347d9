"""Images of chosen classes and seeds, from a run's directory or an exported model:
python -m sagan_tf.tools.sample checkpoint/imagenet_64 --classes=goldfish,n02510455 --seeds=0-7
"""

from sagan_tf import cli, config


def main() -> None:
    sample_config = cli.make(config.SampleConfig)
    from sagan_tf.viewing import sample  # TensorFlow starts here, after the flags have been checked

    sample.sample(sample_config)


if __name__ == "__main__":
    cli.define(config.SampleConfig)
    cli.run(main, "run")
