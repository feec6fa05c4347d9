"""Scores SAGAN: python eval_imagenet.py --generator_type test --data_dir ./data"""

from sagan_tf import cli, config


def main() -> None:
    eval_config = cli.make(config.EvalConfig, config.protocol(cli.value("protocol")))

    # TensorFlow starts here, after the flags have been checked.
    from sagan_tf.evaluation import evaluate, watch

    if eval_config.watch or eval_config.all:
        watch.score_all(eval_config)
    else:
        evaluate.evaluate(eval_config)


if __name__ == "__main__":
    cli.define(config.EvalConfig)
    cli.run(main)
