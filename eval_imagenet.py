"""Scores SAGAN: python eval_imagenet.py --generator_type test --data_dir ./data"""

from sagan_tf import cli, config


def main() -> None:
    eval_config = cli.make(config.EvalConfig)
    from sagan_tf import eval_lib  # TensorFlow starts here, after the flags have been checked

    eval_lib.evaluate(eval_config)


if __name__ == "__main__":
    cli.define(config.EvalConfig)
    cli.run(main)
