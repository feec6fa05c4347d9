"""Reads every record of a directory and says what is wrong:
    python -m sagan_tf.tools.check_data data/digits

Exit code 0: sound; 1: faulty, each fault named by file and record.
"""

import sys

from sagan_tf import cli, config


def main() -> None:
    check_config = cli.make(config.CheckConfig)
    from sagan_tf.data import check  # TensorFlow starts here, after the flags have been checked

    if check.check(check_config):
        sys.exit(1)


if __name__ == "__main__":
    cli.define(config.CheckConfig)
    cli.run(main, "data_dir")
