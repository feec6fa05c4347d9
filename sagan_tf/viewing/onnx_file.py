"""An exported generator as an ONNX file, checked with ONNX Runtime."""

import importlib.util
import os

import numpy as np
import tensorflow as tf

from sagan_tf import errors
from sagan_tf.viewing import trained
from sagan_tf.viewing.model_card import ONNX_FILE

# Images of ONNX Runtime differ by at most this from TensorFlow's, in [-1, 1].
TOLERANCE = 1e-4
_OPSET = 18  # Of the operations, which every ONNX Runtime from 1.14 on has.
_CHECKED_IMAGES = 4
_PACKAGES = ("tf2onnx", "onnxruntime")


def require_packages() -> None:
    """Raises errors.UserError unless the packages that --onnx needs are installed."""
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise errors.UserError(
            f"--onnx: needs {' and '.join(missing)}, not installed here; "
            'pip install -e ".[onnx]", or leave out the flag'
        )


def write(network: trained.Trained, out: str) -> float:
    """Writes `generator.onnx`: z [n, z_dim], labels int32 [n] to "images" in [-1, 1].

    Args:
      network: the model.
      out: directory to write it to.
    Returns:
      The largest difference between the file's images and the model's.
    Raises:
      OSError: the difference is too large, or the disk cannot be written.
    """
    import tf2onnx  # Not installed everywhere.

    # Convert the network.
    z = tf.TensorSpec([None, network.card.model_config.z_dim], tf.float32, name="z")
    labels = tf.TensorSpec([None], tf.int32, name="labels")
    path = os.path.join(out, ONNX_FILE)
    tf2onnx.convert.from_function(
        tf.function(
            lambda z, labels: {"images": network.network([z, labels], training=False)},
            autograph=False,
        ),
        input_signature=[z, labels],
        opset=_OPSET,
        output_path=path,
    )

    # Refuse a file that makes other images, or NaN.
    difference = _difference(network, path)
    if not difference <= TOLERANCE:
        raise OSError(f"{ONNX_FILE} makes images that differ by {difference:.1e}")
    return difference


def _difference(network: trained.Trained, path: str) -> float:
    """The largest difference between a file's images and the model's."""
    import onnxruntime  # Not installed everywhere.

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    z, labels = network.draw(range(_CHECKED_IMAGES))
    inputs = {"z": z.numpy(), "labels": labels.numpy()}
    (images,) = session.run(["images"], inputs)
    return float(np.abs(images - network.generate(z, labels)).max())
