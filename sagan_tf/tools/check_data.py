"""Command that checks a directory of records."""

import sys

from sagan_tf import cli, config

COMMAND = config.Command(
    about="Reads every record of a directory and names every fault by file and record. It draws "
    "one image of each class. The exit code is 0 when the records are sound, and 1 otherwise.",
    example="data/digits",
    kinds=(config.CheckConfig,),
    argument="data_dir",
)


def main() -> None:
    check_config = cli.make(config.CheckConfig)
    from sagan_tf.data import check  # TensorFlow starts here, after the flags have been checked

    if check.check(check_config):
        sys.exit(1)


if __name__ == "__main__":
    cli.run(COMMAND, main)
