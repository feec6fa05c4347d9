"""Classifier whose features and logits the scores are made of, loaded once."""

import hashlib
import os
from typing import Optional

import tensorflow as tf

from sagan_tf import errors
from sagan_tf.evaluation import keras_network
from sagan_tf.evaluation.keras_network import Network
from sagan_tf.runtime import files

INCEPTION_SIZE = 299
# Tensor names of the Inception graph of 2015-12-05; the logits have either name.
_GRAPH_INPUT = "Mul:0"
_GRAPH_POOL = "pool_3:0"
_GRAPH_LOGITS = ("logits:0", "softmax/logits:0")
# What to do where TF-Hub cannot be reached.
_OFFLINE = (
    "Without a network give a classifier that is a file: one that keras.applications.InceptionV3()"
    '.save("inception.keras") made on another machine, a SavedModel directory, or the frozen graph '
    "of 2015 (.pb)"
)

_RESIZE = {
    "legacy": lambda images, size: tf.raw_ops.ResizeBilinear(
        images=images, size=size, align_corners=False, half_pixel_centers=False
    ),
    "half_pixel": tf.image.resize,
    "antialias": lambda images, size: tf.image.resize(images, size, antialias=True),
}


class Classifier:
    """Images to (pool_3, logits).

    Attributes:
      handle: what it was loaded from.
      sha256: of its file, or of the names and contents of its directory's files.
      input_size: side of the images that the network takes; others are resized.
      resize: how, one of `config.ScoringConfig.resize`.
      features: number of them, the size of `pool_3`; known when it was tried out.
      has_logits: whether its logits mean anything.
      note: what was found in it, for people.
    """

    def __init__(self, handle: str, sha256: str, *, network: Network, resize: str):
        self.handle = handle
        self.sha256 = sha256
        self.input_size = network.size or INCEPTION_SIZE
        self.resize = resize
        self.features = 0
        self.has_logits = network.has_logits
        self.note = network.note
        self._network = network.call

    @tf.function(reduce_retracing=True, autograph=False)
    def __call__(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Features and logits.

        Args:
          images: float32 [batch, size, size, 3] in [-1, 1], resized where the size differs.
        Returns:
          pool_3 float32 [batch, features] and logits float32 [batch, classes].

        Source: reference `utils_ori.py:50-88`.
        """
        if images.shape[1] != self.input_size:
            images = _RESIZE[self.resize](images, [self.input_size] * 2)
        pool, logits = self._network(images)
        return tuple(tf.reshape(output, [tf.shape(output)[0], -1]) for output in (pool, logits))


def load(handle: str, sha256: str = "", *, resize: str = "legacy") -> Classifier:
    """Loads a classifier; in a strategy's scope, onto all of its devices.

    Args:
      handle: a TF-Hub handle (https://...); a SavedModel directory whose signature has the outputs
        `pool_3` and `logits`; a frozen graph (.pb) with `Mul:0`, `pool_3:0` and `logits:0`; or a
        Keras file (.keras) with the outputs `pool_3` and `logits`, two in this order, or one, of
        which `keras_network` finds both.
      sha256: what its SHA-256 must be, in hexadecimal; empty: anything.
      resize: how it resizes images.
    Raises:
      errors.UserError: it cannot be reached, is another one, or has not these outputs.
    """
    # Find it.
    is_hub = handle.startswith(("http://", "https://"))
    path = _download(handle) if is_hub else handle
    if not os.path.exists(path) and path.endswith((".pb", ".keras")):
        raise errors.UserError(
            f"--inception={handle}: there is no such file; give the path of the classifier"
        )
    if not os.path.exists(path):
        raise errors.UserError(
            f"--inception={handle}: expected a TF-Hub handle (https://...), a SavedModel "
            "directory, a frozen graph file (.pb) or a Keras file (.keras)"
        )

    # See whether it is the one that was asked for.
    found = _sha256(path)
    if sha256 and sha256.lower() != found:
        raise errors.UserError(
            f"--inception={handle}: its SHA-256 is {found}, and --inception_sha256={sha256}; "
            "fetch the classifier again, or mend the flag"
        )

    # Load it.
    if os.path.isdir(path):
        read = _load_saved_model
    elif path.endswith(".keras"):
        read = _load_keras
    else:
        read = _load_graph
    classifier = Classifier(handle, found, network=read(handle, path), resize=resize)
    _try_out(classifier)
    return classifier


def _sha256(path: str) -> str:
    """Of a file; of a directory what `sha256sum` says of its sorted files, hashed once more."""
    if os.path.isfile(path):
        return files.sha256(path)

    # List the files of the directory.
    names = []
    for folder, _, found in os.walk(path):
        for name in found:
            names.append(os.path.relpath(os.path.join(folder, name), path))

    # Hash them in order.
    lines = []
    for name in sorted(names):
        digest = files.sha256(os.path.join(path, name))
        lines.append(f"{digest}  {name}\n")
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _try_out(classifier: Classifier) -> None:
    """Two blank images, to find an unfit network before anything is generated."""
    # Run it.
    strategy = tf.distribute.get_strategy()
    blank = tf.zeros([2, classifier.input_size, classifier.input_size, 3])
    run = tf.function(lambda: strategy.run(classifier, args=(blank,)), autograph=False)
    try:
        pool, logits = map(_first_result, run())
    except (KeyError, TypeError, ValueError, tf.errors.OpError) as error:
        raise errors.UserError(
            f"--inception={classifier.handle}: expected a network with outputs pool_3 and logits "
            f"for any number of images ({_last_line(error)})"
        ) from error

    # See whether the results are of two images.
    if len(pool) != 2 or len(logits) != 2:
        raise errors.UserError(
            f"--inception={classifier.handle}: expected features of each image, got "
            f"{tuple(pool.shape)} and {tuple(logits.shape)} for two images"
        )
    classifier.features = pool.shape[1]


def _first_result(output) -> tf.Tensor:
    """What the first device gives."""
    return tf.distribute.get_strategy().experimental_local_results(output)[0]


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def _download(handle: str) -> str:
    """The directory that TF-Hub keeps a module in."""
    import tensorflow_hub as hub  # slow to import, and needed here only

    try:
        return hub.resolve(handle)
    except (OSError, ValueError, RuntimeError, tf.errors.OpError) as error:
        raise errors.UserError(
            f"--inception={handle}: cannot be loaded from TF-Hub ({_last_line(error)}). {_OFFLINE}"
        ) from error


def _load_saved_model(handle: str, path: str) -> Network:
    try:
        return _network_of(tf.saved_model.load(path))
    except (OSError, ValueError, RuntimeError, tf.errors.OpError) as error:
        raise errors.UserError(
            f"--inception={handle}: expected a SavedModel ({_last_line(error)})"
        ) from error


def _load_keras(handle: str, path: str) -> Network:
    try:
        return keras_network.load(path)
    except Exception as error:  # Keras raises of every kind for a file that is not its own.
        raise errors.UserError(
            f"--inception={handle}: expected a Keras file with one input, images, and the outputs "
            f"of a classifier ({_last_line(error)})"
        ) from error


def _network_of(loaded) -> Network:
    """The network of a loaded SavedModel."""
    # Find the signature and the size of its images.
    signature = getattr(loaded, "signatures", {}).get("serving_default")
    size = None
    if signature is not None:
        inputs = signature.structured_input_signature[1]
        if len(inputs) != 1:
            raise ValueError(f"its signature takes {sorted(inputs)}, expected one input, images")
        ((name, spec),) = inputs.items()
        size = spec.shape[1] if spec.shape.rank == 4 else None
    elif not callable(loaded):
        raise ValueError("it has no serving signature")

    # Call the signature, or else the model itself.
    def network(images):
        results = loaded(images) if signature is None else signature(**{name: images})
        return keras_network.both(results)

    network.keep_alive = loaded  # a signature alone does not keep its variables
    return Network(network, size)


def _load_graph(handle: str, path: str) -> Network:
    # Read the graph.
    graph_def = tf.compat.v1.GraphDef()
    try:
        with open(path, "rb") as file:
            graph_def.ParseFromString(file.read())
    except Exception as error:  # protobuf's DecodeError has no public home
        raise errors.UserError(f"--inception={handle}: not a frozen graph (GraphDef)") from error

    # Look for the tensors.
    names = {node.name for node in graph_def.node}
    logits = next((t for t in _GRAPH_LOGITS if t[:-2] in names), _GRAPH_LOGITS[0])
    missing = [tensor for tensor in (_GRAPH_INPUT, _GRAPH_POOL, logits) if tensor[:-2] not in names]
    if missing:
        raise errors.UserError(
            f"--inception={handle}: the graph has no tensor {' or '.join(missing)}"
        )

    # Take the part between them.
    dense = _last_layer(graph_def, logits[:-2])
    wanted = [_GRAPH_POOL, *(dense or [logits])]
    graph_def = tf.compat.v1.graph_util.extract_sub_graph(
        graph_def, [tensor.split(":")[0] for tensor in (_GRAPH_INPUT, *wanted)]
    )

    def run(images):
        pool, *rest = tf.graph_util.import_graph_def(
            graph_def, input_map={_GRAPH_INPUT: images}, return_elements=wanted, name=""
        )
        if dense is None:
            return pool, rest[0]
        weights, bias = rest
        return pool, tf.reshape(pool, [-1, weights.shape[0]]) @ weights + bias

    images = tf.TensorSpec([None, INCEPTION_SIZE, INCEPTION_SIZE, 3], tf.float32)
    return Network(tf.compat.v1.wrap_function(run, [images]), INCEPTION_SIZE)


def _last_layer(graph_def, logits: str) -> Optional[list[str]]:
    """Weights and bias of logits = reshape(pool_3) @ weights + bias; None for another layer.

    The reshape of the original classify_image_graph_def.pb is fixed to one image.
    """
    # Look up the inputs of a node of some kinds.
    nodes = {node.name: node for node in graph_def.node}

    def inputs(name: str, *kinds: str) -> list[str]:
        node = nodes.get(name.split(":")[0])
        return list(node.input) if node is not None and node.op in kinds else []

    # Walk from the logits back to pool_3.
    product, *bias = inputs(logits, "BiasAdd", "Add", "AddV2") or [""]
    flat, *weights = inputs(product, "MatMul") or [""]
    pool, *_ = inputs(flat, "Reshape", "Squeeze") or [""]
    transposed = weights and any(
        nodes[product.split(":")[0]].attr[f"transpose_{side}"].b for side in "ab"
    )
    if pool.split(":")[0] != _GRAPH_POOL[:-2] or transposed:
        return None
    return [name if ":" in name else f"{name}:0" for name in (*weights, *bias)]
