"""Measures the input pipeline alone, without training:
    python -m sagan_tf.tools.benchmark_input data/imagenet

Ours (uint8 batches, which become floats on the device), ours with floats made on the host, and the
plain pipeline of the reference (`utils_ori.py:189-265`: one interleave, 16 parallel maps, floats),
in turns, each in a process of its own. `--encodings=raw,png,jpeg` also measures copies of the first
`--images` records in these encodings.
"""

import dataclasses
import json
import os
import tempfile

from sagan_tf import cli, config
from sagan_tf.benchmarks import input_pipeline


def main() -> None:
    options, data_config = cli.make(config.BenchmarkInputConfig), cli.make(config.DataConfig)
    if options.pipeline:
        print(json.dumps(input_pipeline.measure(options, data_config)))
        return
    print(
        f"batch {options.batch_size}, {options.rounds} x {options.seconds:g} s each, "
        f"{len(os.sched_getaffinity(0))} cores; records/s = images/s, all are delivered\n"
        f"{'data':12} {'pipeline':13} {'images/s':>9} {'MB/s':>9} {'cores':>6} {'peak MB':>9} "
        f"{'first s':>8} {'x plain':>8}"
    )
    input_pipeline.compare("as it is", data_config, options=options)
    with tempfile.TemporaryDirectory() as directory:
        for encoding in filter(None, dict.fromkeys(options.encodings.split(","))):
            out = os.path.join(directory, encoding)
            input_pipeline.copy(data_config.data_dir, out, encoding=encoding, count=options.images)
            input_pipeline.compare(
                encoding, dataclasses.replace(data_config, data_dir=out), options=options
            )


if __name__ == "__main__":
    cli.define(config.BenchmarkInputConfig, config.DataConfig)
    cli.run(main, "data_dir")
