"""Everything that is worth knowing of a GPU's speed, by one command:
    python -m sagan_tf.tools.benchmark_gpu --out gpu.json

The training step in bfloat16, TensorFloat-32 and float32, with and without XLA and the convolutions
that halve or double the map; where its time goes; the largest batch that fits; generation as in an
evaluation (which itself computes in float32 alone). Each is `sagan_tf.tools.benchmark` in a process
of its own, on one device, so that one that runs out of memory does not end the others. Takes a
while: about twenty compilations. `--resume` measures what `--out` lacks, `--only=XLA` those with
that in their names. `--flags="..."` goes to all of them, and makes a trial on a
CPU possible (`--flags="--image_size=32 --gf_dim=8 --df_dim=8 ..."`).
"""

from sagan_tf import cli, config


def main() -> None:
    options = cli.make(config.GpuSuiteConfig)
    from sagan_tf.benchmarks import gpu_suite  # TensorFlow starts after the flags are checked.

    gpu_suite.run(options)


if __name__ == "__main__":
    cli.define(config.GpuSuiteConfig)
    cli.run(main)
