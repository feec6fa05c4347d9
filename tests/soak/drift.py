"""Does a run cost the same at its end as at its beginning? Memory and time of a step, drawn.

    python -m tests.soak.drift --steps 2000 --png docs/drift.png

Trains a small model on the digits, reads its metrics.jsonl, prints the medians of the second and of
the last fifth of the rows (in the first fifth buffers fill) and draws all. Needs matplotlib.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile

from tests import processes

IMAGES = 8  # of a step
FLAGS = (
    "--image_size=32",
    "--z_dim=8",
    "--gf_dim=8",
    "--df_dim=8",
    "--number_classes=10",
    "--attention_resolution=16",
    f"--batch_size={IMAGES}",
    "--num_towers=1",
    "--data_dir=data/digits",
    "--ema_decay=0.999",
    "--save_summaries_steps=20",
    "--sample_every=200",
    "--health_every=200",
    "--save_checkpoint_secs=10",
)


def draw(rows: list[dict], png: str) -> None:
    from matplotlib import pyplot

    figure, (memory, time) = pyplot.subplots(2, 1, sharex=True, figsize=(8, 5))
    steps = [row["step"] for row in rows]
    memory.plot(steps, [row["memory_mb"] for row in rows])
    memory.set(ylabel="memory, MB", ylim=(0, None))
    time.plot(steps, [1000 * IMAGES / row["images_per_second"] for row in rows], ".")
    time.set(ylabel="ms a step", xlabel="step", ylim=(0, None))
    figure.tight_layout()
    figure.savefig(png)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--png", default="", help="where to draw; empty: nowhere")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as path:
        subprocess.run(
            [
                sys.executable,
                "train_imagenet.py",
                *FLAGS,
                f"--checkpoint_dir={path}",
                f"--max_steps={options.steps}",
            ],
            check=True,
        )
        rows = [
            row for row in processes.rows(f"{path}/imagenet_{IMAGES}") if "images_per_second" in row
        ]
    fifth = len(rows) // 5
    for name, value in (
        ("memory, MB", lambda row: row["memory_mb"]),
        ("ms a step", lambda row: 1000 * IMAGES / row["images_per_second"]),
    ):
        early, late = (
            statistics.median(map(value, part)) for part in (rows[fifth : 2 * fifth], rows[-fifth:])
        )
        print(
            f"{name}: {early:.1f} in the second fifth, {late:.1f} in the last, "
            f"ratio {late / early:.3f}"
        )
    if options.png:
        draw(rows, options.png)


if __name__ == "__main__":
    main()
