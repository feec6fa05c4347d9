"""Command that makes the embedded digits anew."""

from sagan_tf import cli, config

COMMAND = config.Command(
    about="Makes the records of the embedded digits from scikit-learn's copy. It needs "
    'scikit-learn: pip install "sagan-tf[data]".',
    example="data/digits",
    kinds=(config.DigitsConfig,),
    argument="out",
)


def main() -> None:
    options = cli.make(config.DigitsConfig)
    from sagan_tf.data import digits  # TensorFlow starts here, after the flags have been checked

    digits.write(options.out)


if __name__ == "__main__":
    cli.run(COMMAND, main)
