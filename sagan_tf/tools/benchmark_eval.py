"""Command that measures an evaluation through its real code."""

from sagan_tf import cli, config

COMMAND = config.Command(
    about="Measures an evaluation: seconds of each part, and memory. It makes networks of random "
    "weights and records of random images in a temporary directory. The scores mean nothing; the "
    "cost is real.",
    example="--images=50000 --size=32 --gf_dim=8 --classifier=small",
    kinds=(config.BenchmarkEvaluationConfig,),
)


def main() -> None:
    options = cli.make(config.BenchmarkEvaluationConfig)
    from sagan_tf.benchmarks import evaluation

    evaluation.run(options)


if __name__ == "__main__":
    cli.run(COMMAND, main)
