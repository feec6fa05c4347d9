"""Command that makes the classifier of the embedded digits anew."""

from sagan_tf import cli, config

COMMAND = config.Command(
    about="Trains the classifier that scores the embedded digits, and tests it on images that it "
    "has not seen. It reads data/digits and takes half a minute on two CPU cores.",
    example="data/digits_classifier",
    kinds=(config.DigitsClassifierConfig,),
    argument="out",
)


def main() -> None:
    options = cli.make(config.DigitsClassifierConfig)
    # TensorFlow starts here, after the flags have been checked.
    from sagan_tf.evaluation import digits_classifier

    digits_classifier.make(options.out)


if __name__ == "__main__":
    cli.run(COMMAND, main)
