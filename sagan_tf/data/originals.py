"""Names of the user's files that records were made of, found by the order of the preparation.

The records do not hold these names. Source, seed and number of shards are in `dataset.json`, and
decide which picture became which record, as long as the source is still there and unchanged.
"""

import functools
import os
from typing import Optional

from sagan_tf import errors
from sagan_tf.data import dataset_info, sources

_RECORD = ": record "


def where(filename: str, number: int) -> str:
    """The place of a record, as reports name it.

    Args:
      filename: of the record file.
      number: of the record in it, from 0 on.
    """
    return f"{filename}{_RECORD}{number}"


class Originals:
    """The files that the records of a prepared directory were made of.

    Nothing is read before the first question, and then the source is listed once.

    Args:
      data_dir: the directory.
      info: its `dataset.json`.
    """

    def __init__(self, data_dir: str, info: dataset_info.DatasetInfo):
        self._data_dir = data_dir
        self._info = info
        self._numbers = {shard.file: number for number, shard in enumerate(info.shards)}
        self._keys = functools.lru_cache(maxsize=4)(self._keys_of_shard)

    def name_of(self, place: str) -> str:
        """The file that the record at a place (`where`) was made of; "" where it is not known."""
        # Find the shard.
        path, _, number = place.rpartition(_RECORD)
        folder, name = os.path.split(path)
        if folder != self._data_dir.rstrip("/") or name not in self._numbers:
            return ""

        # Look among its pictures.
        keys = self._keys(self._numbers[name])
        return keys[int(number)] if int(number) < len(keys) else ""

    def _keys_of_shard(self, number: int) -> list[str]:
        """Names of the pictures of a shard, record by record; [] where they are not known."""
        source = self._source
        if source is None:
            return []

        # Leave out the damaged ones.
        settings = self._info.settings
        damaged = {key for shard, key, _ in self._info.damaged if shard == number}
        pictures = source.shard(number, settings["shards"], seed=settings["seed"])
        return [picture.key for picture in pictures if picture.key not in damaged]

    @functools.cached_property
    def _source(self) -> Optional[sources.Source]:
        """The source; None where it is gone, or has changed."""
        settings = self._info.settings
        try:
            found = sources.open_source(
                self._info.source,
                settings["classes"],
                limit_per_class=settings["limit_per_class"],
            )
            if settings.get("validation"):
                parts = found.split(settings["validation"], seed=settings["seed"])
                found = parts[self._info.split == dataset_info.VALIDATION]
            return found if found.fingerprint == settings["source"] else None
        except (errors.UserError, KeyError, TypeError, OSError):
            return None
