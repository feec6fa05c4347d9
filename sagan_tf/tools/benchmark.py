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
import dataclasses
import json
import statistics

from sagan_tf import cli, config


@dataclasses.dataclass(frozen=True)
class BenchmarkConfig:
    """What to measure."""

    what: str = config.option(
        "train", "What to time: train, an iteration; generator or discriminator, a forward pass as "
        "in training; generate, as in an evaluation.",
        ("train", "generator", "discriminator", "generate"))
    rounds: int = config.option(5, "Measurements.")
    iterations: int = config.option(1, "Iterations of one measurement, without a look of the host.")
    compare: str = config.option(
        "", "Flags of a first setting, as in \"mixed_precision=bfloat16\"; a second, --against, "
        "may follow as a word.")
    against: str = config.option("", "Flags of a second setting.")
    ceilings: bool = config.option(
        True, "Measure what convolutions and products this machine manages.")
    profile: bool = config.option(False, "Say what kinds of kernels take the time.")
    json: str = config.option("", "File for the results.")

    def __post_init__(self):
        config.require_choices(self)
        config.require_positive(self, "rounds", "iterations")
        if "deterministic" in self.compare + self.against:
            raise config.UserError(f"--compare={self.compare} --against={self.against}: "
                                   "deterministic holds for the whole process; expected other "
                                   "flags, or two runs")
        if bool(self.compare) != bool(self.against):
            raise config.UserError(f"--compare={self.compare} --against={self.against}: expected "
                                   "two settings, as in --compare optimizations=none "
                                   "optimizations=auto")


def _row(name: str, subject, seconds: list[float], options: BenchmarkConfig) -> dict:
    """What is found of a subject while nothing else is in memory."""
    from sagan_tf import benchmark_lib as lib

    train = subject.setting.train
    row = {"name": name, "what": options.what, "seconds": seconds,
           "peak_mb": subject.peak_memory(), "first_seconds": subject.first_seconds,
           "optimizations": subject.gan.optimizations, "model": vars(subject.setting.model),
           "train": vars(train)}
    if options.profile:
        on_gpu = subject.device_kind == "GPU"
        # XLA's kernels on a CPU are not seen by the profiler.
        seen = on_gpu or not train.jit_compile
        row["kernels"] = lib.kernel_classes(subject.seconds, on_gpu) if seen else {}
    row["ceilings"] = lib.ceilings(train, subject.device_kind) if options.ceilings else None
    return row


def main() -> None:
    options, data_config = cli.make(BenchmarkConfig), cli.make(config.DataConfig)
    model_config, train_config = cli.make(config.ModelConfig), cli.make(config.TrainConfig)
    from sagan_tf import benchmark_lib as lib
    from sagan_tf import files, history

    setting = lib.Setting(model_config, train_config)
    texts = [options.compare, options.against] if options.compare else [""]
    settings = [setting.changed(text) for text in texts]
    if len({(s.model.image_size, s.model.number_classes) for s in settings}) > 1:
        raise config.UserError(f"--compare={options.compare}: expected the same image_size and "
                               "number_classes as the other setting")
    if options.json:
        with files.writing(options.json):
            files.require_writable(options.json)
    with contextlib.ExitStack() as held:
        if not cli.given("data_dir"):
            largest = max(settings, key=lambda s: s.batch)
            data_config = held.enter_context(lib.random_records(largest, data_config))
        subjects = [lib.Subject(s, options.what, data_config, options.iterations)
                    for s in settings]
        rows, names = [], [text or options.what for text in texts]
        seconds = lib.measure(subjects, options.rounds, lambda text: print(text, flush=True))
        for name, subject, times in zip(names, subjects, seconds):
            rows.append(_row(name, subject, times, options))
        for row, subject in zip(rows, subjects):  # The count makes a model: memory comes first.
            row |= lib.summary(
                subject.setting, row["seconds"], lib.count(subject.setting, options.what),
                row.pop("ceilings"), subject.gan.strategy.num_replicas_in_sync)
            print(lib.describe(row["name"], row), flush=True)
    if len(rows) == 2:
        images = settings[1].batch / settings[0].batch
        ratio = statistics.median(images * a / b for a, b in zip(*seconds))
        print(f"{names[1]}: {ratio:.3f} times the images/s of {names[0]} (median of the rounds; "
              "both are in memory)")
    if options.json:
        found = {"environment": history.environment(), "results": rows}
        with files.writing(options.json):
            files.write_bytes(options.json, (json.dumps(found, indent=1) + "\n").encode())


if __name__ == "__main__":
    cli.define(BenchmarkConfig, config.ModelConfig, config.DataConfig, config.TrainConfig)
    cli.run(main, "against")
