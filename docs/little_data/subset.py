"""Writes records with the first share of each class of other records.

  python docs/little_data/subset.py data/digits few_digits --share 0.05

The records are copied byte for byte, in their order. Where DATA has a dataset.json, OUT gets one of
its own, so that training takes image size and number of classes from there as before.
"""

import dataclasses
import hashlib
import os

import numpy as np
import results


def first_of_each(labels, share):
    """Numbers of the first images of each class, ascending; of every class at least one.

    Args:
      labels: int [images].
      share: of each class, above 0 and at most 1; the number of images is rounded.
    """
    # Take them class by class.
    chosen = []
    for label in np.unique(labels):
        numbers = np.flatnonzero(labels == label)
        chosen.append(numbers[: max(round(share * len(numbers)), 1)])

    return np.sort(np.concatenate(chosen))


def write(source, out, share):
    """Writes the records, and their dataset.json if the source has one.

    Args:
      source: directory of all records.
      out: directory to make.
      share: of each class.
    Returns:
      How many records there are now, and how many there were.
    Raises:
      ValueError: there are no records, or `out` is there already.
      OSError: the directory cannot be written.
    """
    # TensorFlow starts here, without its log.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf

    from sagan_tf.data import dataset_info, records

    # Read all records.
    names = records.list_files(source) if os.path.isdir(source) else []
    if not names:
        raise ValueError(f"{source}: it holds no *{records.SUFFIX}; make records first")
    if os.path.exists(out):
        raise ValueError(f"{out}: it is there already; remove it, or choose another place")
    paths = [os.path.join(source, name) for name in names]
    serialized = list(records.serialized_records(paths))
    labels = np.array([label_of(tf.train.Example.FromString(record)) for record in serialized])

    # Write the first of each class.
    chosen = first_of_each(labels, share)
    partial = f"{out}.partial"
    os.makedirs(partial, exist_ok=True)
    path = os.path.join(partial, f"first-00000-of-00001{records.SUFFIX}")
    with tf.io.TFRecordWriter(path) as writer:
        for number in chosen:
            writer.write(serialized[number])

    # Describe them. The directory gets its name when all is there.
    info = dataset_info.read(source)
    if info is not None:
        kept = tf.constant([serialized[number] for number in chosen])
        images, _ = records.parse(kept, info.image_size, number_classes=info.number_classes)
        about = describe(info, path, images=images.numpy(), labels=labels[chosen])
        dataset_info.write(partial, dataclasses.replace(about, settings={"share": share}))
    os.rename(partial, out)
    return len(chosen), len(serialized)


def label_of(example):
    """The label of a record, a `tf.train.Example`."""
    return example.features.feature["label"].int64_list.value[0]


def describe(info, path, *, images, labels):
    """The `dataset_info.DatasetInfo` of one file with some of the records.

    Args:
      info: of all records.
      path: of the file.
      images: uint8 [n, size, size, 3].
      labels: int [n].
    """
    from sagan_tf.data import dataset_info
    from sagan_tf.runtime import files

    # Sum up the file.
    pixels = images.reshape(-1, 3).astype(np.int64)
    shard = dataset_info.Shard(
        file=os.path.basename(path),
        records=len(images),
        bytes=os.path.getsize(path),
        sha256=files.sha256(path),
        sum=tuple(pixels.sum(0).tolist()),
        sum_of_squares=tuple((pixels**2).sum(0).tolist()),
    )

    # What is not said here is as in all records.
    means, deviations = dataset_info.moments([shard], info.image_size)
    return dataclasses.replace(
        info,
        class_counts=tuple(np.bincount(labels, minlength=info.number_classes).tolist()),
        channel_mean=tuple(means),
        channel_deviation=tuple(deviations),
        fingerprint=hashlib.sha256(shard.sha256.encode()).hexdigest(),
        shards=(shard,),
        damaged=(),
    )


def main():
    # Read the flags.
    flags = results.Parser(description="Writes records with the first share of each class.")
    flags.add_argument("data", metavar="DATA", help="directory of all records")
    flags.add_argument("out", metavar="OUT", help="directory to make")
    flags.add_argument("--share", type=results.share, required=True, help="of each class")
    args = flags.parse_args()

    # Write the records.
    try:
        now, before = write(args.data, args.out, args.share)
    except (OSError, ValueError) as error:
        results.fail(error)
    print(f"{args.out}: {now} of the {before} records in {args.data}")


if __name__ == "__main__":
    main()
