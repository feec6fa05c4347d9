"""Trains and scores a run for every share of the images, augmentation and seed.

  python docs/little_data/run.py checkpoint/little_data
  python docs/little_data/run.py checkpoint/little_data --recipe emoji
  python docs/little_data/table.py checkpoint/little_data/results.jsonl

A run is three commands, which --show prints: training on a share of each class (subset.py), scores
against all real images, and distances to the images that it was trained on. What they print goes
into OUT/NAME.log. Its result is one line of OUT/results.jsonl.

Stopped, the same command goes on where it was: a run with a line there is not made again, and
training continues from its last checkpoint. Where the recipe's flagfile has other settings by then,
its runs are made anew.
"""

import dataclasses
import json
import pathlib
import shlex

import results  # From here on the modules of docs/scripts are there.

# isort: split
import recipes
import result_lines
import series

# A short run needs a quick ADA: its probability can go from 0 to 1 in this part of the images.
ADA_PART = 0.25
DEFAULT_ADA_KIMG = 500
AUGMENTATIONS = {
    "none": ["--augment=none"],
    "mirror": ["--augment=none", "--mirror"],
    "diffaugment": ["--augment=diffaugment"],
    "ada": ["--augment=ada"],
}
# Shares of the images, the usual ones.
SHARES = {"digits": (0.05, 0.2, 1.0), "emoji": (1.0,)}


@dataclasses.dataclass(frozen=True)
class Run:
    """What decides a run, under the names of `results.KEY`."""

    recipe: str
    share: float
    augmentation: str
    seed: int
    steps: int
    settings: str

    @property
    def key(self):
        return dataclasses.astuple(self)

    @property
    def name(self):
        """The name of its directory, as digits-5-ada-5000-1f2e3d4c-0."""
        what = f"{self.recipe}-{100 * self.share:g}-{self.augmentation}"
        return f"{what}-{self.steps}-{self.settings}-{self.seed}"


def settings_of(recipe):
    """The digest of a recipe's flagfile."""
    return result_lines.digest(recipes.flags_of(recipe))


def data_of(recipe, share, out):
    """The directory with a share of each class; that of the recipe where it is all of it."""
    return recipes.RECIPES[recipe].data if share == 1 else str(out / f"{recipe}-{100 * share:g}")


def commands(run, out):
    """The words of the three commands after `python`: training, scores, distances.

    Args:
      run: which.
      out: directory of all runs, a `pathlib.Path`.
    """
    # Train on the share.
    recipe = recipes.RECIPES[run.recipe]
    train = [
        "train_imagenet.py",
        f"--flagfile={recipe.flagfile}",
        f"--data_dir={data_of(run.recipe, run.share, out)}",
        f"--checkpoint_dir={out}",
        f"--run_name={run.name}",
        f"--max_steps={run.steps}",
        f"--seed={run.seed}",
        *AUGMENTATIONS[run.augmentation],
    ]
    kimg = DEFAULT_ADA_KIMG  # A flagfile may have another, which only ADA takes.
    if run.augmentation == "ada":
        kimg = ADA_PART * run.steps * recipe.batch / 1000
    train.append(f"--ada_kimg={kimg:g}")

    # Score the averaged generator against all images, then compare with those of the share.
    scoring = recipes.scoring(run.recipe, out / run.name, out)
    evaluate = ["eval_imagenet.py", *scoring, f"--data_dir={recipe.data}"]
    picture = out / f"{run.name}.png"
    nearest = ["-m", "sagan_tf.tools.sample", *scoring, "--nearest", f"--out={picture}"]
    return [train, evaluate, nearest]


def result_of(run, out):
    """The result of a run whose commands have ended, as a line of the results."""
    # Read the last row of its scores, and the distances.
    rows = (out / "eval" / run.name / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    scores = json.loads(rows[-1])["scores"]
    distances = json.loads((out / f"{run.name}.json").read_text(encoding="utf-8"))
    summary = distances["summary"]

    # Keep what the table takes, and a little more.
    names = ("fid", "kid", "precision", "recall", "density", "coverage")
    values = {name: scores[name]["value"] for name in names}
    values |= {"nearest": summary["ratio"], "copies": summary["copies"]}
    images = distances["training_images"]
    return {**dataclasses.asdict(run), "images": images, "values": values}


def subsets(runs, out):
    """The words of the commands that make the records of the shares which are not there yet."""
    found = []
    for recipe, share in dict.fromkeys((run.recipe, run.share) for run in runs):
        data = data_of(recipe, share, out)
        if not (recipes.ROOT / data).is_dir():
            script = "docs/little_data/subset.py"
            found.append([script, recipes.RECIPES[recipe].data, data, f"--share={share:g}"])
    return found


def measure_all(runs, out, *, jobs, finish):
    """Makes the runs that have no result yet, and appends the results.

    Args:
      runs: all that are asked for.
      out: directory of all runs.
      jobs: how many to make at the same time.
      finish: runs a command, as `series.Processes.finish`.
    Returns:
      What has failed, a line each. A run that fails does not stop the others.
    """
    # Leave out what is there.
    path = out / "results.jsonl"
    missing = series.missing(runs, path, done=results.read(path))

    # Make the others.
    for words in subsets(missing, out):
        finish(words, out / "subsets.log")
    return series.measure_all(
        missing,
        path,
        key=results.KEY,
        jobs=jobs,
        commands=commands,
        result_of=result_of,
        finish=finish,
    )


def shares_of(text):
    """An argparse type: shares with commas between them."""
    return [results.share(part) for part in text.split(",")]


def arguments():
    """The flags; bad ones end the program."""
    flags = series.parser("Trains and scores with little data.")
    flags.add_argument(
        "--augmentations",
        type=series.names_of(AUGMENTATIONS),
        default=["none", "diffaugment", "ada"],
        help=f"of {', '.join(AUGMENTATIONS)}, with commas; without this flag all but mirror, which "
        "digits, flags and signs do not bear",
    )
    flags.add_argument("--shares", type=shares_of, help="of the images, as 0.05,0.2,1")
    return flags.parse_args()


def runs_of(args):
    """All runs that the flags ask for; those of the first seed come first."""
    # What the flags do not say, the recipe does.
    shares = args.shares or SHARES[args.recipe]
    steps = args.max_steps or recipes.RECIPES[args.recipe].steps
    settings = settings_of(args.recipe)

    return [
        Run(args.recipe, share, augmentation, seed, steps, settings)
        for seed in range(args.seeds)
        for share in shares
        for augmentation in args.augmentations
    ]


def main():
    # Print the commands, where that is all that is asked for.
    args = arguments()
    out = pathlib.Path(args.out).absolute()
    runs = runs_of(args)
    if args.show:
        of_runs = [words for run in runs for words in commands(run, out)]
        for words in [*subsets(runs, out), *of_runs]:
            print(f"python {shlex.join(words)}")
        return

    # Make them.
    series.start(
        args.recipe,
        out,
        measure=lambda finish: measure_all(runs, out, jobs=args.jobs, finish=finish),
    )


if __name__ == "__main__":
    main()
