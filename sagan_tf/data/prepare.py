"""From pictures to records: shard by shard, so that a killed run loses one shard at most.

While it runs, `<out>/.prepare` holds the settings, the facts of each finished shard, and the shard
that is being written. A shard gets its name when it is whole and its facts are on the disk.
"""

import collections
import contextlib
import hashlib
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from typing import Any, Optional, TextIO

import numpy as np
import PIL
import tensorflow as tf
import tqdm

from sagan_tf import errors
from sagan_tf.config import PrepareConfig
from sagan_tf.data import class_names, dataset_info, preprocessing, records, sources
from sagan_tf.data import shards as data_shards
from sagan_tf.runtime import files, process_pool

_RECORDS_PER_SHARD = 1250
_MOST_SHARDS = 1024
REPORT = "report.txt"
# So many damaged pictures above the share are listed before the work stops.
_MORE_LISTED = 100


def prepare(config: PrepareConfig, stream: Optional[TextIO] = None) -> dataset_info.DatasetInfo:
    """Writes `config.source` to `config.out` as records with `dataset.json`.

    Started again after whatever ended it, it makes the shards that are missing; the bytes are those
    of an unbroken run, and depend on no number of workers.

    Args:
      config: what to do.
      stream: where it says what it does; standard output by default. The progress bar goes to
        standard error.
    Returns:
      What was written as `dataset.json`.
    Raises:
      config.UserError: the source or the directory cannot be used, or too much is damaged.
    """

    def say(*lines: str) -> None:
        print(*map(_printable, lines), sep="\n", file=stream or sys.stdout, flush=True)

    classes = None if not config.classes else _read_classes(config.classes)
    _refuse_other_data(config.out)
    _refuse_out_in_source(config)
    source = sources.open_source(config.source, classes, limit_per_class=config.limit_per_class)
    with _writing(config.out), _locked(config.out) as work:
        settings = _settings(config, source)
        finished = _resume(config.out, work, settings)
        count = settings["shards"]
        say(
            f"{config.source}: {len(source)} pictures of {len(source.class_names)} classes -> "
            f"{count} shards in {config.out}"
            + (f", {len(finished)} of them there already" if finished else "")
        )
        run = _Run(config, settings, source, work, finished)
        run.write_shards()
        info = run.info()
        _finish(config.out, info, run.facts)
        shutil.rmtree(work)
    say(*_summary(info))
    return info


def _read_classes(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8-sig", errors="surrogateescape") as file:
            names = [line.rstrip("\r\n") for line in file if line.strip()]
    except OSError as error:
        raise errors.UserError(
            f"--classes={path}: cannot be read ({error.strerror}); expected a file with the name "
            "of one class a line"
        ) from error
    twice = [name for name, times in collections.Counter(names).items() if times > 1]
    if twice or not names:
        what = f"{twice[0]!r} stands there twice" if twice else "it is empty"
        raise errors.UserError(f"--classes={path}: {what}; expected the name of one class a line")
    return names


@contextlib.contextmanager
def _writing(out: str) -> Iterator[None]:
    try:
        yield
    except (
        OSError,
        tf.errors.ResourceExhaustedError,
        tf.errors.UnknownError,
        tf.errors.FailedPreconditionError,
        tf.errors.DataLossError,
        tf.errors.InternalError,
    ) as error:
        words = getattr(error, "message", None) or str(error)
        raise errors.UserError(
            f"--out={out}: cannot be written to ({words.splitlines()[0]}); free space or mend it: "
            "the same command goes on with what is missing"
        ) from error


@contextlib.contextmanager
def _locked(out: str) -> Iterator[str]:
    """Makes the working directory, and keeps others out while it is used."""
    work = os.path.join(out, dataset_info.WORK_DIRECTORY)
    os.makedirs(work, exist_ok=True)
    with files.locked(
        os.path.join(work, "lock"),
        f"--out={out}: another prepare_data is at work there; wait for it",
    ):
        yield work


def _refuse_other_data(out: str) -> None:
    if files.is_remote(out):
        raise errors.UserError(
            f"--out={out}: expected a local directory; copy the records to a bucket afterwards"
        )
    if os.path.exists(out) and not os.path.isdir(out):
        raise errors.UserError(f"--out={out}: it is a file; expected a directory")
    begun = os.path.isdir(os.path.join(out, dataset_info.WORK_DIRECTORY))
    if not os.path.isdir(out) or begun or dataset_info.read(out) is not None:
        return
    there = sorted(
        name for name in os.listdir(out) if not name.startswith(".") and name != "lost+found"
    )
    if there:
        raise errors.UserError(
            f"--out={out}: it holds other data ({there[0]}); give an empty directory, or one that "
            "does not exist"
        )


def _refuse_out_in_source(config: PrepareConfig) -> None:
    out, source = os.path.realpath(config.out), os.path.realpath(config.source)
    if os.path.isdir(source) and os.path.commonpath([out, source]) == source:
        raise errors.UserError(
            f"--out={config.out}: it lies in --source={config.source}, and would be taken for a "
            "class; give a directory elsewhere"
        )


def _settings(config: PrepareConfig, source: Any) -> dict[str, Any]:
    """All that decides the bytes of the records."""
    shards = config.shards or min(max(round(len(source) / _RECORDS_PER_SHARD), 1), _MOST_SHARDS)
    return {
        "source": source.fingerprint,
        "classes": list(source.class_names),
        "size": config.size,
        "encoding": config.encoding,
        "resize": config.resize,
        "quality": config.quality if config.encoding == "jpeg" else None,
        "shards": shards,
        "limit_per_class": config.limit_per_class,
        "seed": config.seed,
    }


def _resume(out: str, work: str, settings: dict[str, Any]) -> dict[int, data_shards.ShardFacts]:
    """Facts of the shards that are there, by number; refuses shards made with other settings."""
    path, info = os.path.join(work, "settings.json"), dataset_info.read(out)
    before = info.settings if info is not None else data_shards.read_json(path)
    own = set()
    if isinstance(before, dict):
        _refuse_other_settings(out, before, settings)
        own = {
            data_shards.shard_name(number, settings["shards"])
            for number in range(settings["shards"])
        }
    for name in records.list_files(out):
        if name not in own:
            raise errors.UserError(
                f"--out={out}: it holds other data ({name}); give an empty directory"
            )
    data_shards.write_json(path, settings)
    if info is not None:
        _unpack(out, work, info)
    return {
        number: facts
        for number in range(settings["shards"])
        if (facts := data_shards.read_facts(out, work, number=number, count=settings["shards"]))
        is not None
    }


def _refuse_other_settings(out: str, before: dict[str, Any], settings: dict[str, Any]) -> None:
    for name, value in settings.items():
        if before.get(name) != value:
            # Of a source only a hash is known, and of classes there may be a thousand.
            is_long = name in ("source", "classes")
            there, here = (f"other {name}", "these") if is_long else (before.get(name), value)
            raise errors.UserError(
                f"--out={out}: it holds records made with other settings ({name}: {there} there, "
                f"{here} here); give the same settings, or another --out"
            )


def _unpack(out: str, work: str, info: dataset_info.DatasetInfo) -> None:
    """Makes the facts of each shard again from `dataset.json` and `index.npz`."""
    index = dataset_info.read_index(out, info)
    if index is None:
        raise errors.UserError(
            f"{os.path.join(out, dataset_info.INDEX_FILENAME)}: missing or damaged; put it back, "
            "or give another --out"
        )
    ends = np.cumsum(index["counts"])
    for number, (shard, first, last) in enumerate(zip(info.shards, ends - index["counts"], ends)):
        damaged = [(key, why) for place, key, why in info.damaged if place == number]
        data_shards.write_facts(
            work,
            number,
            facts=data_shards.ShardFacts(
                shard,
                index["offsets"][first:last].tolist(),
                index["labels"][first:last].tolist(),
                damaged,
            ),
        )


class _Run:
    """The work itself: pictures through the workers into shards.

    Args:
      config, settings: what to do.
      source: a `sources.Listing` or the like.
      work: the working directory.
      finished: facts of the shards that are there.
    """

    def __init__(
        self,
        config: PrepareConfig,
        settings: dict[str, Any],
        source: Any,
        work: str,
        finished: dict[int, data_shards.ShardFacts],
    ):
        self._config, self._settings, self._source, self._work = config, settings, source, work
        self._finished = dict(finished)

    @property
    def facts(self) -> list[data_shards.ShardFacts]:
        """Facts of all shards, when all are finished."""
        return [self._finished[number] for number in range(self._settings["shards"])]

    def write_shards(self) -> None:
        """Makes the shards that are missing."""
        missing = [n for n in range(self._settings["shards"]) if n not in self._finished]
        done = sum(f.shard.records + len(f.damaged) for f in self._finished.values())
        items = (
            (number, item)
            for number in missing
            for item in self._source.shard(number, self._settings["shards"], seed=self._config.seed)
        )
        settings = tuple(self._settings[name] for name in ("resize", "size", "encoding", "quality"))
        with (
            tqdm.tqdm(
                total=len(self._source),
                initial=done,
                unit=" images",
                smoothing=0.05,
                mininterval=0.5 if sys.stderr.isatty() else 30,
            ) as bar,
            contextlib.closing(
                process_pool.ordered_map(
                    preprocessing.prepare_all,
                    items,
                    argument=lambda entry: entry[1].place,
                    settings=settings,
                    workers=self._config.workers or process_pool.available(),
                )
            ) as made,
        ):
            pending = next(made, None)
            for number in missing:
                with data_shards.ShardWriter(self._work, self._settings, number=number) as writer:
                    while pending is not None and pending[0][0] == number:
                        (_, item), picture = pending
                        writer.add(item, picture)
                        bar.update()
                        if picture.data is None:
                            self._check_damaged(writer.damaged, _MORE_LISTED)
                        pending = next(made, None)
                self._finished[number] = writer.publish(self._config.out)
        self._check_damaged()

    def _check_damaged(self, more: Iterable[tuple[str, str]] = (), margin: int = 0) -> None:
        damaged = [e for facts in self._finished.values() for e in facts.damaged] + list(more)
        if len(damaged) <= self._config.max_bad * len(self._source) + margin:
            return
        path = os.path.join(self._config.out, REPORT)
        _write_report(path, ["stopped: too many damaged pictures"], damaged)
        key, why = damaged[-1]
        raise errors.UserError(
            _printable(
                f"--max_bad={self._config.max_bad:g}: {len(damaged)} of {len(self._source)} pictures "
                f"are damaged, more than that share (the last: {key}: {why}); {path} lists them. Allow "
                "more, and the same command goes on; or remove them, and give another --out"
            )
        )

    def info(self) -> dataset_info.DatasetInfo:
        """What `dataset.json` will say."""
        facts, settings = self.facts, self._settings
        shards = tuple(entry.shard for entry in facts)
        counts = np.bincount(
            np.concatenate([np.array(f.labels, np.int64) for f in facts]),
            minlength=len(self._source.class_names),
        )
        means, deviations = dataset_info.moments(shards, settings["size"])
        digests = "".join(shard.sha256 for shard in shards)
        return dataset_info.DatasetInfo(
            source=self._config.source,
            source_kind=self._source.kind,
            image_size=settings["size"],
            encoding=settings["encoding"],
            quality=settings["quality"],
            resize=settings["resize"],
            class_names=self._source.class_names,
            class_titles=class_names.imagenet_titles(self._source.class_names),
            class_counts=tuple(counts.tolist()),
            channel_mean=tuple(means),
            channel_deviation=tuple(deviations),
            fingerprint=hashlib.sha256(digests.encode()).hexdigest(),
            shards=shards,
            settings=settings,
            damaged=tuple((n, *entry) for n, f in enumerate(facts) for entry in f.damaged),
            made_with={"pillow": PIL.__version__, "numpy": np.__version__},
        )


def _finish(out: str, info: dataset_info.DatasetInfo, facts: list[data_shards.ShardFacts]) -> None:
    """Writes what stands beside the shards; `dataset.json` last: it says that all is there."""
    dataset_info.write_index(
        out,
        info.fingerprint,
        counts=np.array([len(f.labels) for f in facts], np.int64),
        offsets=np.concatenate([np.array(f.offsets, np.int64) for f in facts]),
        labels=np.concatenate([np.array(f.labels, np.int32) for f in facts]),
    )
    _write_report(os.path.join(out, REPORT), _summary(info), [entry[1:] for entry in info.damaged])
    dataset_info.write(out, info)


def _write_report(path: str, summary: list[str], damaged: list[tuple[str, str]]) -> None:
    lines = [*summary, f"damaged pictures: {len(damaged)}"]
    lines += [f"{key}: {why}" for key, why in damaged]
    files.write_whole(path, "".join(_printable(line) + "\n" for line in lines))


def _summary(info: dataset_info.DatasetInfo) -> list[str]:
    size = sum(shard.bytes for shard in info.shards)
    empty = [name for name, count in zip(info.class_names, info.class_counts) if not count]
    lines = [
        f"{info.records} records of {info.number_classes} classes in {len(info.shards)} "
        f"shards, {size / 1e6:.1f} MB, {len(info.damaged)} damaged pictures left out",
        f"{info.image_size} x {info.image_size}, {info.encoding}, {info.resize}",
        "channel mean "
        + ", ".join(f"{value:.2f}" for value in info.channel_mean)
        + "; deviation "
        + ", ".join(f"{value:.2f}" for value in info.channel_deviation),
        f"fingerprint {info.fingerprint}",
    ]
    if empty:
        lines.append(f"classes without a record: {', '.join(empty)}")
    return lines


def _printable(line: str) -> str:
    """A line that fits everywhere: file names need not be UTF-8, and may hold anything."""
    line = line.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)
