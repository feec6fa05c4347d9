"""A data set of TensorFlow Datasets' own kind, made of a folder of class folders, offline."""

import pathlib

import tensorflow_datasets as tfds


class Pets(tfds.core.GeneratorBasedBuilder):
    """Pictures with labels; `folder` is set by whoever prepares it."""

    VERSION = tfds.core.Version("1.0.0")
    pkg_dir_path = pathlib.Path(__file__).parent
    folder = pathlib.Path()
    names = ("ant", "bee", "cat")

    def _info(self):
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "file": tfds.features.Text(),
                    "image": tfds.features.Image(shape=(None, None, 3)),
                    "label": tfds.features.ClassLabel(names=list(self.names)),
                }
            ),
            supervised_keys=("image", "label"),
        )

    def _split_generators(self, _):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for path in sorted(self.folder.glob("*/*")):
            yield (
                f"{path.parent.name}/{path.name}",
                {
                    "file": path.name,
                    "image": str(path),
                    "label": -1 if path.parent.name == "unlabelled" else path.parent.name,
                },
            )


def prepare(folder, data_dir, file_format="tfrecord", names=("ant", "bee", "cat")) -> str:
    """Prepares the pictures below `folder`; returns the prepared directory."""
    Pets.folder, Pets.names = pathlib.Path(folder), names
    builder = Pets(data_dir=str(data_dir), file_format=file_format)
    builder.download_and_prepare()
    return str(builder.data_dir)
