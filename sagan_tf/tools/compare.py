"""Command that shows several runs side by side."""

import os

from sagan_tf import cli, config

COMMAND = config.Command(
    about="Compares runs: scores with their spread over seeds, curves, and samples of the same z. "
    "It writes a table, pictures, and one HTML file that needs no network. It refuses to compare "
    "scores of different protocols. RUNS are directories of runs, or patterns of them.",
    example="'checkpoint/ablation/*' --use_ema --out compared",
    kinds=(config.CompareConfig,),
    argument="runs",
)


def main() -> None:
    compare_config = cli.make(config.CompareConfig)
    # A few images, which a CPU makes in seconds: a training run's GPU memory is not to be touched.
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    from sagan_tf.viewing import compare  # TensorFlow starts here, after the flags were checked

    compare.compare(compare_config)


if __name__ == "__main__":
    cli.run(COMMAND, main)
