"""Which block a network has on the map of `attention_side`."""

from sagan_tf.config import ModelConfig
from sagan_tf.gan.inserted_block import InsertedBlock
from sagan_tf.gan.non_local import NonLocalBlock
from sagan_tf.gan.residual_block import ResidualBlock


def make(config: ModelConfig, network: str, **kwargs) -> InsertedBlock:
    """The block that `config.block` names, as `g_non_local` or `d_residual`.

    Args:
      config: settings of the networks.
      network: "g" or "d".
      **kwargs: of `InsertedBlock`.
    """
    kind = ResidualBlock if config.block == "residual" else NonLocalBlock
    return kind(name=f"{network}_{kind.scope}", **kwargs)
