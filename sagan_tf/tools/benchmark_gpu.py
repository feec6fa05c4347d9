"""Command that measures all that is worth knowing about a GPU's speed."""

from sagan_tf import cli, config

COMMAND = config.Command(
    about="Measures a GPU. It times the training step in bfloat16, TensorFloat-32 and float32, "
    "with and without XLA and the rewritten convolutions. It finds where the time goes, the "
    "largest batch that fits, and how fast an evaluation generates. Each measurement is a process "
    "of its own on one device: one that runs out of memory does not end the others. All of them "
    "take about twenty compilations.",
    example="--out=gpu.json",
    kinds=(config.GpuSuiteConfig,),
)


def main() -> None:
    options = cli.make(config.GpuSuiteConfig)
    from sagan_tf.benchmarks import gpu_suite  # TensorFlow starts after the flags are checked.

    gpu_suite.run(options)


if __name__ == "__main__":
    cli.run(COMMAND, main)
