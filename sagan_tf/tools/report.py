"""Writes what is known of a run, also while it trains, as one HTML file that needs no network:
python -m sagan_tf.tools.report checkpoint/imagenet_64
"""

import os

from sagan_tf import cli, config


def main() -> None:
    report_config = cli.make(config.ReportConfig)
    # A few images, which a CPU makes in seconds: a training run's GPU memory is not to be touched.
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    from sagan_tf.viewing import report  # TensorFlow starts here, after the flags have been checked

    report.write(report_config)


if __name__ == "__main__":
    cli.define(config.ReportConfig)
    cli.run(main, "run")
