"""Measures what the augmentations cost: processor time of a step of networks of width 16.

  taskset -c 0 python docs/little_data/costs.py
  taskset -c 0 python docs/little_data/costs.py --networks emoji --batch 12

All settings run in turns in one process, on one core. Processor time leaves out what other programs
take of that core. A line is a setting: the median of the rounds, and the median of its ratios to
the setting without augmentation.
"""

import os
import statistics
import time

import results

SETTINGS = {
    "none": "augment=none",
    "mirror": "mirror=true",
    "diffaugment": "augment=diffaugment",
    "ada, p = 0.3": "augment=ada ada_start=0.3 ada_kimg=0",
}
# What configs/ablation_digits.flags and configs/emoji.flags say of the networks.
NETWORKS = {
    "digits": {"image_size": 32, "number_classes": 10, "attention_resolution": 8},
    "emoji": {"image_size": 64, "number_classes": 9, "z_dim": 32, "generator_sn": False},
}


def measure(workloads, rounds):
    """Seconds of processor time that a step of each workload takes in each round, in turns."""
    found = [[] for _ in workloads]
    for _ in range(rounds):
        for times, one in zip(found, workloads):
            began = time.process_time()
            one.seconds()
            times.append((time.process_time() - began) / one.iterations)
    return found


def lines_of(names, found):
    """A line for each setting: milliseconds, and the ratio to the first setting."""
    lines = []
    for name, times in zip(names, found):
        ratio = statistics.median(own / first for own, first in zip(times, found[0]))
        lines.append(f"{name}: {1000 * statistics.median(times):.1f} ms, ratio {ratio:.3f}")
    return lines


def main():
    # Read the flags.
    flags = results.Parser(description="Measures what the augmentations cost.")
    flags.add_argument(
        "--networks",
        choices=NETWORKS,
        default="digits",
        help="of which flagfile, without its batch",
    )
    flags.add_argument("--batch", type=int, nargs="+", default=[16, 64], help="images of a step")
    flags.add_argument("--iterations", type=int, default=10, help="steps of a measurement")
    flags.add_argument("--rounds", type=int, default=9, help="measurements of a setting")
    args = flags.parse_args()

    # TensorFlow starts here, without its log.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from sagan_tf import config
    from sagan_tf.benchmarks import workload
    from sagan_tf.benchmarks.setting import Setting

    networks = config.ModelConfig(gf_dim=16, df_dim=16, **NETWORKS[args.networks])
    for batch in args.batch:
        # Compile all settings.
        train = config.TrainConfig(batch_size=batch, num_towers=1, ema_decay=0.999, use_ema=True)
        plain = Setting(networks, train)
        with workload.random_records(plain) as data:
            workloads = [
                workload.Workload(
                    plain.changed(text), "train", data_config=data, iterations=args.iterations
                )
                for text in SETTINGS.values()
            ]

            # Warm up once more, then measure.
            measure(workloads, 1)
            found = measure(workloads, args.rounds)
        print(f"batch {batch}:", *lines_of(SETTINGS, found), sep="\n", flush=True)


if __name__ == "__main__":
    main()
