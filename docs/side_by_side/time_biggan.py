"""Times training iterations of ajbrock/BigGAN-PyTorch in its SAGAN configuration, on the CPU.

Its files run unmodified: G, D, their Adam optimisers, and train_fns.GAN_training_function, with
the flags that its launch script for SAGAN gives to its own parser. Images are always 128 px, a
fixed random batch held in memory. torchvision, which is imported only for reading data and
drawing samples, is replaced by empty modules.

What the script sets, and what differs here unless a flag says otherwise:
  - one D step per G step: as here (--d-steps 1; without the script its parser's default is 2);
  - attention on the 64x64 map: as here; --attention 32 puts it where the reference has it;
  - two accumulated batches of 128 before each optimiser step: one batch of --batch images here;
  - a moving average of G's weights: off here, as the reference has none (--ema turns it on).
In its D step real and fake images pass through D as one batch of twice the size, and its spectral
norm takes no gradient through u and v: that is its own algorithm, not the reference's.

To install (CPU build of PyTorch) and run (DIR is a clone of BigGAN-PyTorch):
  pip install torch --index-url https://download.pytorch.org/whl/cpu
  pip install numpy pillow tqdm h5py
  python time_biggan.py --biggan DIR
Then type Enter for each iteration, Ctrl-D to end; side_by_side.py does that for several programs.
"""

import importlib
import sys
import types

import stepping

SCRIPT = "scripts/launch_SAGAN_bs128x2_ema.sh"
NEEDED = ("BigGAN.py", "layers.py", "losses.py", "train_fns.py", "utils.py", SCRIPT)
INSTALL = "pip install torch --index-url https://download.pytorch.org/whl/cpu"


class Empty(types.ModuleType):
    """A module in which every name is an empty class, or the module of that name."""

    __path__ = ()

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return sys.modules.get(f"{self.__name__}.{name}") or type(name, (), {})


def without_torchvision():
    """While this holds, importing torchvision gives empty modules."""
    names = ["torchvision" + rest for rest in ("", ".datasets", ".datasets.utils", ".transforms")]
    return stepping.replaced_modules({name: Empty(name) for name in names})


def import_torch():
    """PyTorch, or an ImportError that says how to install it."""
    try:
        import torch.nn
    except ImportError as error:
        raise ImportError(f"PyTorch is needed ({error}): {INSTALL}") from error
    return torch


def import_biggan(folder):
    """The repository's modules BigGAN, train_fns and utils."""
    sys.path.insert(0, str(folder))
    with without_torchvision():
        return [importlib.import_module(name) for name in ("BigGAN", "train_fns", "utils")]


def configuration(folder, utils, args):
    """The settings of the SAGAN script, with the sizes asked for here."""
    words = (folder / SCRIPT).read_text(encoding="utf-8").replace("\\", " ").split()
    flags = words[words.index("train.py") + 1 :]
    sizes = {
        "batch_size": args.batch,
        "num_D_steps": args.d_steps,
        "num_G_accumulations": 1,
        "num_D_accumulations": 1,
        "G_ch": args.gf_dim,
        "D_ch": args.df_dim,
    }
    if args.attention:
        sizes.update(G_attn=args.attention, D_attn=args.attention)
    for name, value in sizes.items():
        flags += [f"--{name}", str(value)]
    config = vars(utils.prepare_parser().parse_args(flags))
    config.update(
        resolution=utils.imsize_dict[config["dataset"]],
        n_classes=args.classes,
        ema=args.ema,
        G_activation=utils.activation_dict[config["G_nl"]],
        D_activation=utils.activation_dict[config["D_nl"]],
    )
    return config


def build(folder, torch, args):
    """The repository's training function, the state it counts in, and its configuration."""
    biggan, train_fns, utils = import_biggan(folder)
    config = configuration(folder, utils, args)
    torch.manual_seed(0)
    g = biggan.Generator(**config)
    d = biggan.Discriminator(**config)
    ema = None
    if args.ema:
        copy = biggan.Generator(**{**config, "skip_init": True, "no_optim": True})
        ema = utils.ema(g, copy, config["ema_decay"], config["ema_start"])
    z, y = utils.prepare_z_y(args.batch, g.dim_z, args.classes, device="cpu")
    state = {"itr": 0}
    train = train_fns.GAN_training_function(g, d, biggan.G_D(g, d), z, y, ema, state, config)
    return train, state, config


def prepare(args):
    """One training iteration as a function, and facts for the ready line."""
    folder = stepping.checked_folder(args.biggan, NEEDED)
    torch = import_torch()
    if args.threads:
        torch.set_num_threads(args.threads)
    train, state, config = build(folder, torch, args)
    reals = args.batch * args.d_steps
    images = torch.rand(reals, 3, 128, 128) * 2 - 1
    labels = torch.randint(args.classes, (reals,))

    def iterate():
        state["itr"] += 1
        train(images, labels)

    return iterate, {
        "program": "BigGAN-PyTorch",
        "attention": int(config["G_attn"]),
        "torch": torch.__version__,
        "gf_dim": args.gf_dim,
        "df_dim": args.df_dim,
        "classes": args.classes,
        "threads": args.threads,
        "d_steps": args.d_steps,
        "ema": args.ema,
    }


def main():
    flags = stepping.parser("Times training iterations of BigGAN-PyTorch's SAGAN.", batch=8)
    flags.add_argument("--biggan", required=True, help="folder of the clone of BigGAN-PyTorch")
    flags.add_argument(
        "--attention",
        type=int,
        choices=(32, 64),
        help="side of the map with attention (default: the script's, 64)",
    )
    flags.add_argument("--d-steps", type=stepping.at_least(1), default=1, help="D steps per G step")
    flags.add_argument("--ema", action="store_true", help="keep a moving average of G's weights")
    stepping.run(flags.parse_args(), prepare)


if __name__ == "__main__":
    main()
