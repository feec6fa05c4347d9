"""Command that writes what is known about a run as one HTML file."""

import os

from sagan_tf import cli, config

COMMAND = config.Command(
    about="Writes one HTML file about a run: losses, health, samples, scores and settings. It "
    "works while the run trains, and the file needs no network. RUN is a run's directory.",
    example="checkpoint/imagenet_64",
    kinds=(config.ReportConfig,),
    argument="run",
)


def main() -> None:
    report_config = cli.make(config.ReportConfig)
    # A few images, which a CPU makes in seconds: a training run's GPU memory is not to be touched.
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    from sagan_tf.viewing import report  # TensorFlow starts here, after the flags have been checked

    report.write(report_config)


if __name__ == "__main__":
    cli.run(COMMAND, main)
