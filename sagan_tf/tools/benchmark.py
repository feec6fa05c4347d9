"""Times the training step through the code that trains, on random images or on `--data_dir`:
    python -m sagan_tf.tools.benchmark --batch_size=32 --num_towers=1
    python -m sagan_tf.tools.benchmark --compare optimizations=none optimizations=auto

All flags of training that bear on its speed apply. It prints median, quickest and slowest
iteration, images a second, operations counted from the graph, what share that is of the
convolutions and products that this machine was seen to manage, bytes moved, and peak memory.
`--compare A B` measures two settings in turns in one process, so that noise hits both; several
values of one setting are separated by spaces, in quotes.
"""

import contextlib
import json
import statistics

from sagan_tf import cli, config, errors


def main() -> None:
    options, data_config = cli.make(config.BenchmarkStepConfig), cli.make(config.DataConfig)
    model_config, train_config = cli.make(config.ModelConfig), cli.make(config.TrainConfig)
    from sagan_tf.benchmarks import training_step
    from sagan_tf.runtime import environment, files

    setting = training_step.Setting(model_config, train_config)
    texts = [options.compare, options.against] if options.compare else [""]
    settings = [setting.changed(text) for text in texts]
    if len({(s.model.image_size, s.model.number_classes) for s in settings}) > 1:
        raise errors.UserError(
            f"--compare={options.compare}: expected the same image_size and "
            "number_classes as the other setting"
        )
    if options.json:
        with files.writing(options.json):
            files.require_writable(options.json)
    with contextlib.ExitStack() as held:
        if not cli.given("data_dir"):
            largest = max(settings, key=lambda s: s.batch)
            data_config = held.enter_context(training_step.random_records(largest, data_config))
        subjects = [
            training_step.Subject(
                s, options.what, data_config=data_config, iterations=options.iterations
            )
            for s in settings
        ]
        rows, names = [], [text or options.what for text in texts]
        seconds = training_step.measure(
            subjects, options.rounds, show=lambda text: print(text, flush=True)
        )
        for name, subject, times in zip(names, subjects, seconds):
            rows.append(training_step.new_row(name, subject, seconds=times, options=options))
        for row, subject in zip(rows, subjects):  # The count makes a model: memory comes first.
            row |= training_step.summary(
                subject.setting,
                row["seconds"],
                cost=training_step.count(subject.setting, options.what),
                ceiling=row.pop("ceilings"),
                replicas=subject.gan.strategy.num_replicas_in_sync,
            )
            print(training_step.describe(row["name"], row), flush=True)
    if len(rows) == 2:
        images = settings[1].batch / settings[0].batch
        ratio = statistics.median(images * a / b for a, b in zip(*seconds))
        print(
            f"{names[1]}: {ratio:.3f} times the images/s of {names[0]} (median of the rounds; "
            "both are in memory)"
        )
    if options.json:
        found = {"environment": environment.environment(), "results": rows}
        with files.writing(options.json):
            files.write_bytes(options.json, (json.dumps(found, indent=1) + "\n").encode())


if __name__ == "__main__":
    cli.define(
        config.BenchmarkStepConfig, config.ModelConfig, config.DataConfig, config.TrainConfig
    )
    cli.run(main, "against")
