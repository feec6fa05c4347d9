"""Writes how a run's training went: its seconds, and the variety of its samples.

  python -m docs.ablation.course RUN --out FILE

`variety` in FILE is that of `runs.health.course_of_variety`, and `lost` there the step at which
samples of one class began to look alike; null where no row says how they vary.
"""

import argparse
import json
import pathlib


def seconds_of(events, times):
    """Seconds between each start of a run and its end; of a killed start, to the last row.

    Args:
      events: of history.jsonl, the oldest first.
      times: of the rows of metrics.jsonl, seconds since 1970.
    """
    # A start has its end as the next event of these two kinds, unless it was killed.
    ends_and_starts = [event for event in events if event["event"] in ("start", "end")]
    total = 0.0
    for number, event in enumerate(ends_and_starts):
        if event["event"] == "end":
            continue

        # Find its end.
        began = event["time"]
        after = ends_and_starts[number + 1 : number + 2]
        until = after[0]["time"] if after else float("inf")
        if not after or after[0]["event"] == "start":
            until = max((time for time in times if began <= time < until), default=began)
        total += until - began
    return total


def course_of(run):
    """What FILE holds, of the directory of a run."""
    # TensorFlow starts here.
    from sagan_tf import config
    from sagan_tf.runs import directory, health, history, metric_writer

    # Follow the variety.
    rows = metric_writer.read_rows(run)
    train = directory.read_config(run, "train", kind=config.TrainConfig)
    variety = health.course_of_variety(rows, health.steps_of_noise(train))

    times = [row["time"] for row in rows]
    seconds = seconds_of(history.read(run), times)
    return {"seconds": seconds, "variety": variety and variety._asdict()}


def main():
    flags = argparse.ArgumentParser(description="Writes how a run's training went.")
    flags.add_argument("run", metavar="RUN", help="directory of the run")
    flags.add_argument("--out", metavar="FILE", type=pathlib.Path, required=True)
    args = flags.parse_args()
    args.out.write_text(json.dumps(course_of(args.run)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
