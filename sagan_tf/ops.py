"""Spectral normalisation and the layers built on it; batch norm per tower.

Weights carry the reference's names (`w`, `biases`, `Matrix`, `u`, `gamma`, ...), so that a
variable's path is its name in a reference checkpoint.
"""

import contextlib
import math
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, Optional

import keras
import tensorflow as tf

from sagan_tf import resampling

_L2_EPSILON = 1e-12
_GLOROT = "glorot_uniform"


class Update(NamedTuple):
    """New state of a layer: variable <- decay * variable + (1 - decay) * value."""

    variable: tf.Variable
    value: tf.Tensor
    decay: float


def store(variable, value: tf.Tensor, decay=0.0) -> None:
    """variable <- decay * variable + (1 - decay) * value."""
    if not isinstance(decay, float) or decay:
        value = tf.convert_to_tensor(variable) * decay + value * (1 - decay)
    variable.assign(value)


class _Collected(threading.local):  # MirroredStrategy runs each replica in a thread of its own.
    updates: Optional[list[Update]] = None


_collected = _Collected()


@contextlib.contextmanager
def collected_updates() -> Iterator[list[Update]]:
    """Layers called inside add their updates to the list instead of storing them.

    A training step stores them itself, after one reduction over all replicas; and a step that runs
    towers one after the other must not store before the last one has begun.
    """
    before, _collected.updates = _collected.updates, []
    try:
        yield _collected.updates
    finally:
        _collected.updates = before


def _store_or_collect(variable, value: tf.Tensor, decay: float = 0.0) -> None:
    if _collected.updates is None:
        store(variable, value, decay)
    else:
        _collected.updates.append(Update(variable.value, value, decay))


def _l2_normalize(x: tf.Tensor) -> tf.Tensor:
    return x / (tf.sqrt(tf.reduce_sum(tf.square(x))) + _L2_EPSILON)


def spectral_normalize(w: tf.Tensor, u: tf.Tensor,
                       by_hand: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
    """Divides a weight by an estimate of its largest singular value.

    With W = w reshaped to [-1, out], one power iteration from u gives
    v = l2(u W^T), u' = l2(v W), sigma = v W u'^T. Gradients flow through v and u' as well
    (there is no stop_gradient), and w itself is never overwritten.

    Args:
      w: float32 weight, any shape of rank 2 or more whose last axis is the output, [..., out].
      u: float32 [1, out], the running estimate of the leading right singular vector.
      by_hand: whether to take the same gradient written by hand, in fewer passes over w; u and u'
        then take none.

    Returns:
      (w / sigma in the shape of w, u' of shape [1, out]).

    Source: reference `ops.py:120-175`; Miyato et al., 2018, algorithm 1.
    """
    if by_hand:
        return _spectral_normalize_by_hand(w, u)
    sigma, new_u = _power_iteration(_as_matrix(w), u)
    return w / sigma, new_u


def _spectral_normalize_by_hand(w: tf.Tensor, u: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """dL/dW = D / sigma - (sum(D W) / sigma^2) (v^T u' + g^T u), where D = dL/dW_bar and
    g = (I - v^T v) W u'^T / |u W^T| is what sigma takes through v."""
    @tf.custom_gradient
    def normalize(w):
        matrix = _as_matrix(w)
        u_w = tf.matmul(u, matrix, transpose_b=True)
        v = _l2_normalize(u_w)
        v_w = tf.matmul(v, matrix)
        new_u = _l2_normalize(v_w)
        sigma = tf.reshape(tf.matmul(v_w, new_u, transpose_b=True), [])

        def gradient(d_w_bar, _):
            d = _as_matrix(d_w_bar)
            share = tf.reduce_sum(d * matrix) / tf.square(sigma)
            through_v = tf.matmul(new_u, matrix, transpose_b=True)
            through_v = (through_v - tf.reduce_sum(through_v * v) * v) / tf.norm(u_w)
            d_sigma = tf.matmul(tf.concat([v, through_v], 0) * share, tf.concat([new_u, u], 0),
                                transpose_a=True)
            return tf.reshape(d / sigma - d_sigma, w.shape)

        return (w / sigma, new_u), gradient

    return normalize(w)


def _power_iteration(matrix: tf.Tensor, u: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """sigma, a scalar, and u' [1, out]."""
    v = _l2_normalize(tf.matmul(u, matrix, transpose_b=True))
    v_matrix = tf.matmul(v, matrix)
    new_u = _l2_normalize(v_matrix)
    return tf.reshape(tf.matmul(v_matrix, new_u, transpose_b=True), []), new_u


def _as_matrix(w: tf.Tensor) -> tf.Tensor:
    return tf.reshape(w, [-1, w.shape[-1]])


@tf.function(reduce_retracing=True, autograph=False)
def _settle(matrix: tf.Tensor, u: tf.Tensor) -> tf.Tensor:
    """Iterates u until no element moves by more than 1e-5, at most 300 times."""
    def step(_, u):
        return u, _l2_normalize(
            tf.matmul(_l2_normalize(tf.matmul(u, matrix, transpose_b=True)), matrix))

    return tf.while_loop(lambda before, u: tf.reduce_max(tf.abs(u - before)) > 1e-5, step,
                         step(u, u), maximum_iterations=299)[1]


def _largest_singular_value(w: tf.Tensor, settled_u: tf.Tensor) -> tf.Tensor:
    return tf.norm(tf.matmul(settled_u, _as_matrix(w), transpose_b=True))


class _SpectralNormLayer(keras.layers.Layer):
    """A layer with one spectrally normalised weight, `u`, and, mostly, a bias.

    Args:
      use_bias: whether it has a bias.
      optimizations: of `config.optimizations`; here "spectral_norm".
    """

    _weight_name = "w"
    _bias_name = "biases"

    def __init__(self, use_bias: bool = True, optimizations: Optional[Mapping[str, int]] = None,
                 **kwargs):
        super().__init__(**kwargs)
        self.use_bias = use_bias
        self.optimizations = dict(optimizations or {})
        self.weight = self.bias = self.u = None

    def _add_weights(self, weight_shape: tuple, u_size: int, bias_size: int = 0) -> None:
        # autocast=False: SN, and the weight it starts from, stay float32 in mixed precision.
        self.weight = self.add_weight(name=self._weight_name, shape=weight_shape,
                                      initializer=_GLOROT, autocast=False)
        self.u = self.add_weight(
            name="u", shape=(1, u_size), initializer=keras.initializers.TruncatedNormal(stddev=1.0),
            trainable=False, autocast=False, aggregation="only_first_replica")
        if self.use_bias:
            self.bias = self.add_weight(name=self._bias_name, shape=(bias_size,),
                                        initializer="zeros")

    def oriented_weight(self) -> tf.Tensor:
        """The raw weight with the axis that `u` belongs to last."""
        return tf.convert_to_tensor(self.weight)

    def normalized_weight(self, update_sn: bool, cast: bool = True) -> tf.Tensor:
        """W_bar in the orientation of `oriented_weight`; stores u' if `update_sn`.

        In the type that the layer computes in, or, without `cast`, in float32.
        """
        w_bar, new_u = spectral_normalize(self.oriented_weight(), tf.convert_to_tensor(self.u),
                                          "spectral_norm" in self.optimizations)
        if update_sn:
            _store_or_collect(self.u, new_u)
        return tf.cast(w_bar, self.compute_dtype) if cast else w_bar

    def sigma(self) -> float:
        """What W is divided by as u stands now."""
        return float(_power_iteration(_as_matrix(self.oriented_weight()),
                                      tf.convert_to_tensor(self.u))[0])

    def settle(self) -> None:
        """Stores the u at which the power iteration ends.

        Evaluation does this once, so that W_bar is the same for every batch after it. (The
        reference goes on iterating through its evaluation, which ends at the same u.)
        """
        self.u.assign(self._settled_u())

    def remaining_norm(self) -> float:
        """The largest singular value of W_bar as u stands now; 1 where u has settled.

        Above 1: W grows, or turns, faster than one power iteration a step can follow.
        """
        w_bar, _ = spectral_normalize(self.oriented_weight(), tf.convert_to_tensor(self.u))
        return float(_largest_singular_value(w_bar, self._settled_u()))

    def _settled_u(self) -> tf.Tensor:
        return _settle(_as_matrix(self.oriented_weight()), tf.convert_to_tensor(self.u))

    def get_config(self):
        return {**super().get_config(), "use_bias": self.use_bias,
                "optimizations": self.optimizations}


# A convolution with a map that doubles before or halves after it, as one: how its kernel is made of
# the 3x3 one, and what takes it.
_REWRITES = {"up": (resampling.upsampled_conv_kernel, resampling.upsampled_conv),
             "down": (resampling.downsampled_conv_kernel, resampling.downsampled_conv)}


@keras.saving.register_keras_serializable("sagan_tf")
class SNConv2D(_SpectralNormLayer):
    """Convolution with a spectrally normalised kernel: conv(x, w / sigma) + biases.

    Stride 1, padding SAME, channels last. Weights: w [k, k, in, filters] Glorot-uniform,
    biases [filters] zeros, u [1, filters] truncated normal.

    Args:
      filters, kernel_size, use_bias: as in `keras.layers.Conv2D`.
      resample: "up": the map doubles before (`resampling.upsample`); "down": it halves after
        (`resampling.downsample`); None: neither.
      optimizations: of `config.optimizations`; here "up_conv" and "down_conv" for 3x3 kernels,
        "shortcut" for 1x1 kernels, "wide_conv" and "spectral_norm".

    Call arguments:
      x: [batch, height, width, in].
      update_sn: whether the new u is stored.
    Returns: [batch, height, width, filters]; height and width doubled or halved by `resample`.

    Source: reference `ops.py:178-208` (with bias) and `non_local.py:33-46` (1x1 without).
    """

    def __init__(self, filters: int, kernel_size: int = 3, use_bias: bool = True,
                 resample: Optional[str] = None, **kwargs):
        super().__init__(use_bias, **kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.resample = resample

    def build(self, input_shape):
        shape = (self.kernel_size, self.kernel_size, input_shape[-1], self.filters)
        self._add_weights(shape, self.filters, self.filters)

    def call(self, x, update_sn: bool = False):
        kernel = self.normalized_weight(update_sn, cast=False)
        make_kernel, convolve, before, after = self._plan(x.shape[1])
        # Taps are added up in float32.
        x = self._convolve(convolve, before(x), tf.cast(make_kernel(kernel), self.compute_dtype))
        if self.use_bias:
            x = tf.nn.bias_add(x, tf.convert_to_tensor(self.bias))
        return after(x)

    def _convolve(self, convolve: Callable, x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        if "wide_conv" in self.optimizations and x.dtype != tf.float32:
            return resampling.in_float32(convolve, x, kernel)
        return convolve(x, kernel)

    def _plan(self, side: int) -> tuple[Callable, Callable, Callable, Callable]:
        """For maps of this side: what makes the kernel, the convolution, what is done to the map
        before it, and after."""
        resample = {"up": resampling.upsample, "down": resampling.downsample}.get(
            self.resample, _as_it_is)
        larger = 2 * side if self.resample == "up" else side
        name = {1: "shortcut", 3: f"{self.resample}_conv"}.get(self.kernel_size)
        rewrite = larger >= self.optimizations.get(name, math.inf)
        if rewrite and self.resample and self.kernel_size == 3:
            return (*_REWRITES[self.resample], _as_it_is, _as_it_is)
        if (self.resample == "up") == rewrite:  # 1x1 convolutions commute with it.
            return _as_it_is, resampling.conv, _as_it_is, resample
        return _as_it_is, resampling.conv, resample, _as_it_is

    def compute_output_shape(self, input_shape):
        batch, *sides, _ = input_shape
        if self.resample:
            sides = [side and (2 * side if self.resample == "up" else side // 2) for side in sides]
        return (batch, *sides, self.filters)

    def get_config(self):
        return {**super().get_config(), "filters": self.filters, "kernel_size": self.kernel_size,
                "resample": self.resample}


def _as_it_is(x: tf.Tensor) -> tf.Tensor:
    return x


@keras.saving.register_keras_serializable("sagan_tf")
class SNDense(_SpectralNormLayer):
    """Dense layer with a spectrally normalised matrix: x (Matrix / sigma) + bias.

    Weights: Matrix [in, units] Glorot-uniform, bias [units] zeros, u [1, units].

    Call arguments:
      x: [batch, in].
      update_sn: whether the new u is stored.
    Returns: [batch, units].

    Source: reference `ops.py:211-236`.
    """

    _weight_name = "Matrix"
    _bias_name = "bias"

    def __init__(self, units: int, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape):
        self._add_weights((input_shape[-1], self.units), self.units, self.units)

    def call(self, x, update_sn: bool = False):
        return tf.matmul(x, self.normalized_weight(update_sn)) + self.bias

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.units)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable("sagan_tf")
class SNEmbedding(_SpectralNormLayer):
    """Lookup in a spectrally normalised table. The table is transposed before SN.

    Weights: embedding_map [classes, units] Glorot-uniform, u [1, classes].

    Call arguments:
      labels: int [batch], 0 .. classes - 1.
      update_sn: whether the new u is stored.
    Returns: [batch, units].

    Source: reference `ops.py:239-262`.
    """

    _weight_name = "embedding_map"

    def __init__(self, number_classes: int, units: int, **kwargs):
        super().__init__(use_bias=kwargs.pop("use_bias", False), **kwargs)
        self.number_classes = number_classes
        self.units = units

    def build(self, input_shape=None):
        self._add_weights((self.number_classes, self.units), self.number_classes)

    def oriented_weight(self) -> tf.Tensor:
        return tf.transpose(tf.convert_to_tensor(self.weight))

    def call(self, labels, update_sn: bool = False):
        return tf.gather(tf.transpose(self.normalized_weight(update_sn)), labels)

    def compute_output_shape(self, input_shape):
        return (*input_shape, self.units)

    def get_config(self):
        return {**super().get_config(), "number_classes": self.number_classes,
                "units": self.units}


def settle_spectral_norms(network: keras.layers.Layer) -> None:
    """Settles u in every spectrally normalised layer inside `network`."""
    for layer in _spectral_norm_layers(network):
        layer.settle()


def sigmas(network: keras.layers.Layer) -> dict[str, float]:
    """What every spectrally normalised weight inside `network` is divided by, by layer.

    Names are the reference's scopes ("g_block1/snconv1").
    """
    return {layer.weight.path.split("/", 1)[1].rsplit("/", 1)[0]: layer.sigma()
            for layer in _spectral_norm_layers(network)}


def remaining_norms(network: keras.layers.Layer) -> dict[str, float]:
    """The largest singular value of every W_bar inside `network`, by the layer's path.

    1 where the running estimate of sigma is exact.
    """
    return {layer.path: layer.remaining_norm() for layer in _spectral_norm_layers(network)}


def _spectral_norm_layers(network: keras.layers.Layer) -> list[_SpectralNormLayer]:
    return [layer for layer in network._flatten_layers() if isinstance(layer, _SpectralNormLayer)]


def _grouped(x: tf.Tensor, group_size: Optional[int]) -> tf.Tensor:
    """[batch, h, w, c] -> [groups, group_size, h, w, c]; a batch below group_size is one group."""
    batch = tf.shape(x)[0] if x.shape[0] is None else x.shape[0]
    if group_size is None:
        group_size = batch
    elif x.shape[0] is None:
        group_size = tf.minimum(group_size, batch)
    elif batch < group_size:
        group_size = batch
    elif batch % group_size:
        raise ValueError(f"a batch of {batch} images cannot be split into towers of {group_size} "
                         "(batch_size)")
    # -1 twice is not allowed: the group axis is inferred, the batch axis given.
    return tf.reshape(x, [-1, group_size, *x.shape[1:]])


def _moments_over_replicas(mean: tf.Tensor, variance: tf.Tensor,
                           replicas: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Moments of a group from those that its `replicas` consecutive replicas found for their parts.
    """
    context = tf.distribute.get_replica_context()
    own = tf.cast(context.replica_id_in_sync_group, tf.int32)
    # Each replica writes into its own row, so the sum is everybody's table.
    row = tf.one_hot(own, context.num_replicas_in_sync)[:, None]
    found = tf.reshape(tf.stack([mean, variance]), [1, -1])
    table = context.all_reduce(tf.distribute.ReduceOp.SUM, row * found)
    group = tf.slice(table, [own // replicas * replicas, 0], [replicas, found.shape[1]])
    means, variances = tf.unstack(tf.reshape(group, [replicas, 2, *mean.shape]), axis=1)
    mean = tf.reduce_mean(means, axis=0)
    return mean, tf.reduce_mean(variances + tf.square(means - mean), axis=0)


def _places(x: tf.Tensor) -> tf.Tensor:
    """How many numbers of [groups, images, h, w, c] a moment is made of, a float32 scalar."""
    if x.shape[1] is None:
        return tf.cast(tf.reduce_prod(tf.shape(x)[1:4]), tf.float32)
    return tf.constant(math.prod(x.shape[1:4]), tf.float32)


def _moments(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Mean and biased variance, float32, of [groups, images, h, w, c] per group and channel."""
    return tf.nn.moments(tf.cast(x, tf.float32), axes=[1, 2, 3], keepdims=True)


def _normalized(x: tf.Tensor, scale: tf.Tensor, shift: tf.Tensor, relu: bool) -> tf.Tensor:
    """x * scale + shift, and ReLU, in the type of x."""
    x = x * tf.cast(scale, x.dtype) + tf.cast(shift, x.dtype)
    return tf.nn.relu(x) if relu else x


def _batch_norm(x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, epsilon: float,
                relu: bool) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Batch norm by each group's own moments, and ReLU, with a gradient of few passes over x.

    dx = scale dz - r^2 M (x - mean) - r m, where dz is what comes through the ReLU,
    r = 1 / sqrt(variance + epsilon), scale = gamma r, and m and M are the group's means of
    gamma dz and of gamma dz (x - mean) r. Nothing is kept for it but x, the result and the moments.

    Args:
      x: [groups, images, h, w, c].
      gamma, beta: float32, [groups, images, 1, 1, c].
    Returns:
      The result, as x; mean and variance, float32 [groups, 1, 1, 1, c], through which no gradient
      flows.
    """
    @tf.custom_gradient
    def normalize(x, gamma, beta):
        mean, variance = _moments(x)
        reciprocal = tf.math.rsqrt(variance + epsilon)
        scale = reciprocal * gamma
        y = _normalized(x, scale, beta - mean * scale, relu)

        def gradient(dy, *_):
            dz = tf.where(y > 0, dy, tf.zeros([], dy.dtype)) if relu else dy
            wide_dz, centred = tf.cast(dz, tf.float32), tf.cast(x, tf.float32) - mean
            d_beta = tf.reduce_sum(wide_dz, [2, 3], keepdims=True)
            d_gamma = tf.reduce_sum(wide_dz * centred, [2, 3], keepdims=True) * reciprocal
            mean_dz, mean_dzx = (tf.reduce_sum(gamma * d, 1, keepdims=True) / _places(x)
                                 for d in (d_beta, d_gamma))
            dx = (wide_dz * scale - centred * (reciprocal**2 * mean_dzx) - reciprocal * mean_dz)
            return tf.cast(dx, x.dtype), d_gamma, d_beta

        return (y, mean, variance), gradient

    return normalize(x, gamma, beta)


class _TowerBatchNorm(keras.layers.Layer):
    """What conditional and plain batch norm share: moments per tower, moving statistics.

    Moments are float32 and biased, over (group_size consecutive images, height, width). Where a
    replica's batch is smaller than a group, the group spans as many replicas as it takes.

    Args:
      decay: of the moving statistics.
      group_size: images of a group; None: the whole batch.
      relu: whether a ReLU follows.
      optimizations: of `config.optimizations`; here "batch_norm".
    """

    epsilon = 1e-5
    _mean_name = "moving_mean"
    _variance_name = "moving_variance"

    def __init__(self, decay: float, group_size: Optional[int] = None, relu: bool = False,
                 optimizations: Optional[Mapping[str, int]] = None, **kwargs):
        super().__init__(**kwargs)
        self.decay = decay
        self.group_size = group_size
        self.relu = relu
        self.optimizations = dict(optimizations or {})
        self.gamma = self.beta = self.moving_mean = self.moving_variance = None

    def _add_weights(self, affine_shape: tuple, moving_shape: tuple) -> None:
        def add(name, shape, initializer, **kwargs):
            return self.add_weight(name=name, shape=shape, initializer=initializer,
                                   autocast=False, **kwargs)

        self.gamma = add("gamma", affine_shape, "ones")
        self.beta = add("beta", affine_shape, "zeros")
        moving = {"trainable": False, "aggregation": "mean"}
        self.moving_mean = add(self._mean_name, moving_shape, "zeros", **moving)
        self.moving_variance = add(self._variance_name, moving_shape, "ones", **moving)

    def _scale_for_moving(self, count: tf.Tensor) -> tf.Tensor:
        """Factor from the biased variance of `count` numbers to what the moving variance takes."""
        del count
        return tf.constant(1.0)

    def _normalize(self, x, gamma, beta, training: bool):
        """gamma * (x - mean) / sqrt(variance + epsilon) + beta, and ReLU.

        `gamma` and `beta` are float32 [batch, c], or [1, c] for all images.
        """
        grouped = _grouped(x, self.group_size if training else None)
        gamma, beta = (self._per_image(rows, grouped) for rows in (gamma, beta))
        replicas = self._replicas_of_group(grouped) if training else 1
        if training and "batch_norm" in self.optimizations and replicas == 1:
            y, mean, variance = _batch_norm(grouped, gamma, beta, self.epsilon, self.relu)
        else:
            mean, variance = self._statistics(grouped, training, replicas)
            scale = tf.math.rsqrt(variance + self.epsilon) * gamma
            y = _normalized(grouped, scale, beta - mean * scale, self.relu)
        if training:
            self._update(self.moving_mean, mean)
            self._update(self.moving_variance,
                         variance * self._scale_for_moving(_places(grouped) * replicas))
        return tf.reshape(y, tf.shape(x) if x.shape[0] is None else x.shape)

    def _per_image(self, rows: tf.Tensor, grouped: tf.Tensor) -> tf.Tensor:
        """[batch, c] or [1, c] -> [groups, images, 1, 1, c]."""
        if rows.shape[0] == 1:
            rows = tf.repeat(rows, tf.reduce_prod(tf.shape(grouped)[:2]), axis=0)
        images = grouped.shape[1] or tf.shape(grouped)[1]
        return tf.reshape(rows, [-1, images, 1, 1, rows.shape[-1]])

    def _statistics(self, grouped: tf.Tensor, training: bool,
                    replicas: int) -> tuple[tf.Tensor, tf.Tensor]:
        """(mean, variance), each broadcastable to `grouped`, float32."""
        if not training:
            return (tf.reshape(tf.convert_to_tensor(self.moving_mean), [-1]),
                    tf.reshape(tf.convert_to_tensor(self.moving_variance), [-1]))
        moments = _moments(grouped)
        return _moments_over_replicas(*moments, replicas) if replicas > 1 else moments

    def _replicas_of_group(self, grouped: tf.Tensor) -> int:
        """How many replicas, with one group each here, make one group together."""
        context, images = tf.distribute.get_replica_context(), grouped.shape[1]
        if not context or self.group_size is None or images is None or images >= self.group_size:
            return 1
        replicas = min(-(-self.group_size // images), context.num_replicas_in_sync)
        if context.num_replicas_in_sync % replicas:
            raise ValueError(
                f"{context.num_replicas_in_sync} replicas of {images} images cannot form groups of "
                f"{self.group_size} (bn_group)")
        return replicas

    def _update(self, moving, per_group: tf.Tensor) -> None:
        """moving <- decay * moving + (1 - decay) * mean over the towers."""
        value = tf.reshape(tf.reduce_mean(per_group, axis=0), moving.shape)
        _store_or_collect(moving, value, self.decay)

    def compute_output_shape(self, input_shape, *_):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "decay": self.decay, "group_size": self.group_size,
                "relu": self.relu, "optimizations": self.optimizations}


@keras.saving.register_keras_serializable("sagan_tf")
class ConditionalBatchNorm(_TowerBatchNorm):
    """Batch norm whose gamma and beta are chosen by each image's class.

    gamma[y] * (x - mean) / sqrt(variance + 1e-5) + beta[y]. Weights: gamma, beta
    [classes, channels]; moving statistics mean, var [1, 1, 1, channels], shared by the classes;
    the moving variance takes the biased batch variance.

    Call arguments:
      x: [batch, height, width, channels]; in training batch is a multiple of `group_size`, or
        below it, and then one group.
      labels: int [batch], 0 .. classes - 1.
      training: batch moments, and the moving statistics move; otherwise the moving statistics.
    Returns: as x.

    Source: reference `ops.py:304-360`.
    """

    _mean_name = "mean"
    _variance_name = "var"

    def __init__(self, number_classes: int, decay: float = 0.999, **kwargs):
        super().__init__(decay, **kwargs)
        self.number_classes = number_classes

    def build(self, input_shape, *_):
        channels = input_shape[-1]
        self._add_weights((self.number_classes, channels), (1, 1, 1, channels))

    def call(self, x, labels, training: bool = False):
        gamma, beta = (tf.gather(tf.convert_to_tensor(table), labels)
                       for table in (self.gamma, self.beta))
        return self._normalize(x, gamma, beta, training)

    def get_config(self):
        return {**super().get_config(), "number_classes": self.number_classes}


@keras.saving.register_keras_serializable("sagan_tf")
class BatchNorm(_TowerBatchNorm):
    """Plain batch norm, gamma * (x - mean) / sqrt(variance + 1e-5) + beta, per tower.

    Weights: gamma, beta, moving_mean, moving_variance, each [channels]. The batch is normalised
    by its biased variance; the moving variance takes the unbiased one, as the fused kernel that
    the reference calls.

    Call arguments:
      x: [batch, height, width, channels]; in training batch is a multiple of `group_size`, or
        below it, and then one group.
      training: batch moments, and the moving statistics move; otherwise the moving statistics.
    Returns: as x.

    Source: reference `ops.py:362-376`.
    """

    def __init__(self, decay: float = 0.9999, **kwargs):
        super().__init__(decay, **kwargs)

    def build(self, input_shape):
        self._add_weights((input_shape[-1],), (input_shape[-1],))

    def _scale_for_moving(self, count: tf.Tensor) -> tf.Tensor:
        return count / tf.maximum(count - 1.0, 1.0)

    def call(self, x, training: bool = False):
        gamma, beta = (tf.convert_to_tensor(v)[None] for v in (self.gamma, self.beta))
        return self._normalize(x, gamma, beta, training)
