"""Preparation of records from pictures, shard by shard: a killed run loses one shard at most.

While it runs, `<out>/.prepare` holds the settings, the facts of each finished shard, and the shard
that is being written. A shard gets its name when it is whole and its facts are on the disk.
"""

import collections
import contextlib
import hashlib
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Optional, TextIO

import numpy as np
import PIL
import tqdm

from sagan_tf import errors, plurals
from sagan_tf.config import PrepareConfig
from sagan_tf.data import class_names, dataset_info, preprocessing, resume, shards, sources
from sagan_tf.runtime import files, process_pool

_RECORDS_PER_SHARD = 1250
_MOST_SHARDS = 1024
REPORT = "report.txt"
# So many damaged pictures above the share are listed before the work stops.
_MORE_LISTED = 100

# A picture's name, and why it could not be used.
_Damaged = tuple[str, str]


def prepare(config: PrepareConfig, stream: Optional[TextIO] = None) -> dataset_info.DatasetInfo:
    """Writes `config.source` to `config.out` as records with `dataset.json`.

    Started again after whatever ended it, it makes the shards that are missing. The bytes are those
    of an unbroken run, and do not depend on the number of workers.

    Args:
      config: what to do.
      stream: where it says what it does; standard output by default. The progress bar goes to
        standard error.
    Returns:
      What was written as `dataset.json`.
    Raises:
      errors.UserError: the source or the directory cannot be used, or too much is damaged.
    """
    # Open the source.
    classes = _read_classes(config.classes) if config.classes else None
    resume.refuse_other_data(config.out)
    resume.refuse_out_in_source(config)
    source = sources.open_source(config.source, classes, limit_per_class=config.limit_per_class)

    with resume.writing(config.out), resume.locked(config.out) as work:
        # Find what an earlier run has finished.
        settings = _settings(config, source)
        finished = resume.finished_shards(config.out, work, settings=settings)
        _say(stream, [_beginning(config, source, settings["shards"], len(finished))])

        # Write what is missing.
        preparation = _Preparation(config, settings, source, work, finished)
        preparation.write_shards()
        info = preparation.info()
        _finish(config.out, info, preparation.facts)
        shutil.rmtree(work)

    _say(stream, _summary(info))
    return info


def _say(stream: Optional[TextIO], lines: Sequence[str]) -> None:
    print(*map(_printable, lines), sep="\n", file=stream or sys.stdout, flush=True)


def _beginning(config: PrepareConfig, source: sources.Source, count: int, finished: int) -> str:
    """What is said before the work."""
    before = f", {finished} of them there already" if finished else ""
    return (
        f"{config.source}: {plurals.counted(len(source), 'picture')} of "
        f"{plurals.counted(len(source.class_names), 'class', 'classes')} -> "
        f"{plurals.counted(count, 'shard')} in {config.out}{before}"
    )


def _read_classes(path: str) -> list[str]:
    # Read the file.
    try:
        with open(path, encoding="utf-8-sig", errors="surrogateescape") as file:
            names = [line.rstrip("\r\n") for line in file if line.strip()]
    except OSError as error:
        raise errors.UserError(
            f"--classes={path}: cannot be read ({error.strerror}); expected a file with the name "
            "of one class a line"
        ) from error

    # Check that it names each class once.
    twice = [name for name, times in collections.Counter(names).items() if times > 1]
    if twice or not names:
        what = f"{twice[0]!r} stands there twice" if twice else "it is empty"
        raise errors.UserError(f"--classes={path}: {what}; expected the name of one class a line")
    return names


def _settings(config: PrepareConfig, source: sources.Source) -> dict[str, Any]:
    """All that decides the bytes of the records."""
    # Choose the number of shards.
    usual_shards = min(max(round(len(source) / _RECORDS_PER_SHARD), 1), _MOST_SHARDS)

    return {
        "source": source.fingerprint,
        "classes": list(source.class_names),
        "size": config.size,
        "encoding": config.encoding,
        "resize": config.resize,
        "quality": config.quality if config.encoding == "jpeg" else None,
        "shards": config.shards or usual_shards,
        "limit_per_class": config.limit_per_class,
        "seed": config.seed,
    }


class _Preparation:
    """The work itself: pictures through the workers into shards.

    Args:
      config: what to do.
      settings: all that decides the bytes of the records.
      source: of the pictures.
      work: the working directory.
      finished: facts of the shards that are there.
    """

    def __init__(
        self,
        config: PrepareConfig,
        settings: dict[str, Any],
        source: sources.Source,
        work: str,
        finished: dict[int, shards.ShardFacts],
    ):
        self._config = config
        self._settings = settings
        self._source = source
        self._work = work
        self._finished = dict(finished)
        self._count = settings["shards"]

    @property
    def facts(self) -> list[shards.ShardFacts]:
        """Facts of all shards, when all are finished."""
        return [self._finished[number] for number in range(self._count)]

    def write_shards(self) -> None:
        """Makes the shards that are missing."""
        with self._progress() as bar, contextlib.closing(self._prepared_pictures()) as prepared:
            pending = next(prepared, None)
            for number in self._missing():
                with self._shard_writer(number) as writer:
                    # Take the pictures of this shard; the first of the next ends it.
                    while pending is not None and pending[0][0] == number:
                        (_, picture), image = pending
                        writer.add(picture, image)
                        bar.update()
                        if image.data is None:
                            self._check_damaged(writer.damaged, margin=_MORE_LISTED)
                        pending = next(prepared, None)
                self._finished[number] = writer.publish(self._config.out)
        self._check_damaged()

    def _missing(self) -> list[int]:
        return [number for number in range(self._count) if number not in self._finished]

    def _progress(self) -> tqdm.tqdm:
        """A bar in a terminal, and nothing elsewhere."""
        done = 0
        for facts in self._finished.values():
            done += facts.shard.records + len(facts.damaged)

        # Count the rest.
        return tqdm.tqdm(
            total=len(self._source),
            initial=done,
            unit=" images",
            smoothing=0.05,
            mininterval=0.5,
            disable=None,
        )

    def _prepared_pictures(self) -> Iterator[tuple]:
        """((number of the shard, picture), its image) of all missing shards, in order."""
        # Say what is to be done with each.
        image_settings = preprocessing.ImageSettings(
            resize=self._settings["resize"],
            size=self._settings["size"],
            encoding=self._settings["encoding"],
            quality=self._settings["quality"],
        )

        # Spread the work over the workers.
        return process_pool.ordered_map(
            preprocessing.prepare_all,
            self._missing_pictures(),
            argument=lambda item: item[1].source,
            settings=(image_settings,),
            workers=self._config.workers or process_pool.available(),
        )

    def _missing_pictures(self) -> Iterator[tuple[int, preprocessing.LabelledPicture]]:
        for number in self._missing():
            for picture in self._source.shard(number, self._count, seed=self._config.seed):
                yield number, picture

    def _shard_writer(self, number: int) -> shards.ShardWriter:
        return shards.ShardWriter(
            self._work, number, count=self._count, encoding=self._settings["encoding"]
        )

    def _check_damaged(self, more: Sequence[_Damaged] = (), margin: int = 0) -> None:
        """Raises errors.UserError if too many pictures are damaged.

        Args:
          more: those of the shard that is being written.
          margin: so many above the share are let pass for now.
        """
        # Count them.
        damaged: list[_Damaged] = []
        for facts in self._finished.values():
            damaged += facts.damaged
        damaged += more
        if len(damaged) <= self._config.max_bad * len(self._source) + margin:
            return

        # List them.
        path = os.path.join(self._config.out, REPORT)
        _write_report(path, ["stopped: too many damaged pictures"], damaged)
        key, why = damaged[-1]
        message = (
            f"--max_bad={self._config.max_bad:g}: {len(damaged)} of {len(self._source)} pictures "
            f"are damaged, more than that share (the last: {key}: {why}); {path} lists them. Allow "
            "more, and the same command goes on; or remove them, and give another --out"
        )
        raise errors.UserError(_printable(message))

    def info(self) -> dataset_info.DatasetInfo:
        """What `dataset.json` will say."""
        # Sum up the shards.
        facts = self.facts
        entries = tuple(one.shard for one in facts)
        labels = np.concatenate([np.array(one.labels, np.int64) for one in facts])
        counts = np.bincount(labels, minlength=len(self._source.class_names))
        means, deviations = dataset_info.moments(entries, self._settings["size"])
        digests = "".join(shard.sha256 for shard in entries)

        # List what is damaged.
        damaged = []
        for number, one in enumerate(facts):
            damaged += [(number, key, why) for key, why in one.damaged]

        return dataset_info.DatasetInfo(
            source=self._config.source,
            source_kind=self._source.kind,
            image_size=self._settings["size"],
            encoding=self._settings["encoding"],
            quality=self._settings["quality"],
            resize=self._settings["resize"],
            class_names=self._source.class_names,
            class_titles=class_names.imagenet_titles(self._source.class_names),
            class_counts=tuple(counts.tolist()),
            channel_mean=tuple(means),
            channel_deviation=tuple(deviations),
            fingerprint=hashlib.sha256(digests.encode()).hexdigest(),
            shards=entries,
            settings=self._settings,
            damaged=tuple(damaged),
            made_with={"pillow": PIL.__version__, "numpy": np.__version__},
        )


def _finish(out: str, info: dataset_info.DatasetInfo, facts: list[shards.ShardFacts]) -> None:
    """Writes what stands beside the shards; `dataset.json` last: it says that all is there."""
    # Write the index.
    dataset_info.write_index(
        out,
        info.fingerprint,
        counts=np.array([len(one.labels) for one in facts], np.int64),
        offsets=np.concatenate([np.array(one.offsets, np.int64) for one in facts]),
        labels=np.concatenate([np.array(one.labels, np.int32) for one in facts]),
    )

    # Write the report and the description.
    damaged = [(key, why) for _, key, why in info.damaged]
    _write_report(os.path.join(out, REPORT), _summary(info), damaged)
    dataset_info.write(out, info)


def _write_report(path: str, summary: list[str], damaged: list[_Damaged]) -> None:
    lines = [*summary, f"damaged pictures: {len(damaged)}"]
    lines += [f"{key}: {why}" for key, why in damaged]
    files.write_whole(path, "".join(_printable(line) + "\n" for line in lines))


def _summary(info: dataset_info.DatasetInfo) -> list[str]:
    # Collect the numbers.
    size = sum(shard.bytes for shard in info.shards)
    means = ", ".join(f"{value:.2f}" for value in info.channel_mean)
    deviations = ", ".join(f"{value:.2f}" for value in info.channel_deviation)
    empty = [name for name, count in zip(info.class_names, info.class_counts) if not count]

    # Write the lines.
    lines = [
        f"{plurals.counted(info.records, 'record')} of "
        f"{plurals.counted(info.number_classes, 'class', 'classes')} in "
        f"{plurals.counted(len(info.shards), 'shard')}, {size / 1e6:.1f} MB, "
        f"{plurals.counted(len(info.damaged), 'damaged picture')} left out",
        f"{info.image_size} x {info.image_size}, {info.encoding}, {info.resize}",
        f"channel mean {means}; deviation {deviations}",
        f"fingerprint {info.fingerprint}",
    ]
    if empty:
        lines.append(f"classes without a record: {', '.join(empty)}")
    return lines


def _printable(line: str) -> str:
    """A line that fits everywhere: file names need not be UTF-8, and may hold anything."""
    line = line.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)
