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

import argparse
import dataclasses
import json
import pathlib
import shlex
import signal
import subprocess
import sys
from concurrent import futures

import results

ROOT = pathlib.Path(__file__).resolve().parents[2]
# A short run needs a quick ADA: its probability can go from 0 to 1 in this part of the images.
ADA_PART = 0.25
AUGMENTATIONS = {
    "none": ["--augment=none"],
    "mirror": ["--augment=none", "--mirror"],
    "diffaugment": ["--augment=diffaugment"],
    "ada": ["--augment=ada"],
}


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What is trained, and how.

    Attributes:
      flagfile: of training.
      data: directory of all its images.
      classifier: that scores them.
      batch: images of a step, as the flagfile says.
      steps: of a run, as the flagfile says.
      shares: of the images, the usual ones.
    """

    flagfile: str
    data: str
    classifier: str
    batch: int
    steps: int
    shares: tuple[float, ...]


RECIPES = {
    "digits": Recipe(
        flagfile="configs/digits.flags",
        data="data/digits",
        classifier="data/digits_classifier",
        batch=12,
        steps=6000,
        shares=(0.05, 0.2, 1.0),
    ),
    "emoji": Recipe(
        flagfile="configs/emoji.flags",
        data="data/emoji",
        classifier="data/emoji_classifier",
        batch=16,
        steps=20_000,
        shares=(1.0,),
    ),
}


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


class Failed(Exception):
    """A command has ended with an error."""


def settings_of(recipe):
    """The digest of a recipe's flagfile."""
    text = (ROOT / RECIPES[recipe].flagfile).read_text(encoding="utf-8")
    return results.digest(text.splitlines())


def data_of(recipe, share, out):
    """The directory with a share of each class; that of the recipe where it is all of it."""
    return RECIPES[recipe].data if share == 1 else str(out / f"{recipe}-{100 * share:g}")


def commands(run, out):
    """The words of the three commands after `python`: training, scores, distances.

    Args:
      run: which.
      out: directory of all runs, a `pathlib.Path`.
    """
    # Train on the share.
    recipe = RECIPES[run.recipe]
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
    if run.augmentation == "ada":
        train.append(f"--ada_kimg={ADA_PART * run.steps * recipe.batch / 1000:g}")

    # Score the averaged generator against all images, then compare with those of the share.
    scoring = [
        str(out / run.name),
        "--use_ema",
        "--standing_statistics",
        f"--inception={recipe.classifier}",
        f"--stats_dir={out / 'real_statistics'}",
    ]
    evaluate = ["eval_imagenet.py", *scoring, f"--data_dir={recipe.data}"]
    picture = out / f"{run.name}.png"
    nearest = ["-m", "sagan_tf.tools.sample", *scoring, "--nearest", f"--out={picture}"]
    return [train, evaluate, nearest]


class Processes:
    """Commands as processes, in the root of the project."""

    def __init__(self):
        self._running = set()

    def finish(self, words, log):
        """Runs `python WORDS` to its end; what it prints is added to a file.

        Raises:
          Failed: it ends with an error.
        """
        # Run it.
        with open(log, "a", encoding="utf-8") as file:
            file.write(f"$ python {shlex.join(words)}\n")
            file.flush()
            process = subprocess.Popen(
                [sys.executable, *words], cwd=ROOT, stdout=file, stderr=subprocess.STDOUT
            )
            self._running.add(process)
            code = process.wait()
            self._running.discard(process)

        # Name the one that failed.
        if code:
            raise Failed(f"{log.stem}: {words[0]} ended with exit code {code}; {log} says why")

    def end(self, *_):
        """Asks all of them to end, and this program too; a handler of signals."""
        for process in list(self._running):
            process.terminate()
        raise KeyboardInterrupt


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


def measure(run, out, *, finish):
    """Makes a run and scores it; its line of the results.

    Args:
      run: which.
      out: directory of all runs.
      finish: runs a command, as `Processes.finish`.
    Raises:
      Failed: a command has failed.
    """
    for words in commands(run, out):
        finish(words, out / f"{run.name}.log")
    return result_of(run, out)


def subsets(runs, out):
    """The words of the commands that make the records of the shares which are not there yet."""
    found = []
    for recipe, share in dict.fromkeys((run.recipe, run.share) for run in runs):
        data = data_of(recipe, share, out)
        if not (ROOT / data).is_dir():
            script = "docs/little_data/subset.py"
            found.append([script, RECIPES[recipe].data, data, f"--share={share:g}"])
    return found


def measure_all(runs, out, *, jobs, finish):
    """Makes the runs that have no result yet, and appends the results.

    Args:
      runs: all that are asked for.
      out: directory of all runs.
      jobs: how many to make at the same time.
      finish: runs a command, as `Processes.finish`.
    Returns:
      What has failed, a line each. A run that fails does not stop the others.
    """
    # Leave out what is there.
    path = out / "results.jsonl"
    done = results.read(path)
    missing = [run for run in runs if run.key not in done]
    print(f"{path}: {len(runs) - len(missing)} of {len(runs)} runs are there", flush=True)

    # Make the others.
    for words in subsets(missing, out):
        finish(words, out / "subsets.log")
    failures = []
    with futures.ThreadPoolExecutor(jobs) as pool:
        waiting = [pool.submit(measure, run, out, finish=finish) for run in missing]
        try:
            for future in futures.as_completed(waiting):
                if isinstance(future.exception(), Failed):
                    failures.append(str(future.exception()))
                    continue
                row = future.result()
                results.append(path, row)
                print(*(row[name] for name in results.KEY), row["values"], flush=True)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return failures


def names_of(known):
    """An argparse type: names with commas between them, of the known ones."""

    def names(text):
        found = text.split(",")
        for name in found:
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name}: expected some of {', '.join(known)}")
        return found

    return names


def shares_of(text):
    """An argparse type: shares with commas between them."""
    return [results.share(part) for part in text.split(",")]


def at_least_one(text):
    """An argparse type: a whole number from 1 on."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text}: expected 1 or more")
    return value


def arguments():
    """The flags; bad ones end the program."""
    # What to train.
    flags = results.Parser(description="Trains and scores with little data.")
    flags.add_argument("out", metavar="OUT", help="directory of runs and results")
    flags.add_argument("--recipe", choices=tuple(RECIPES), default="digits")
    flags.add_argument(
        "--augmentations",
        type=names_of(AUGMENTATIONS),
        default=["none", "diffaugment", "ada"],
        help=f"of {', '.join(AUGMENTATIONS)}, with commas; without this flag all but mirror, which "
        "digits, flags and signs do not bear",
    )
    flags.add_argument("--shares", type=shares_of, help="of the images, as 0.05,0.2,1")
    flags.add_argument("--seeds", type=at_least_one, default=3, help="how many, from 0 on")
    flags.add_argument("--max-steps", type=at_least_one, help="of a run; the flagfile's")

    # How.
    flags.add_argument("--jobs", type=at_least_one, default=1, help="runs at the same time")
    flags.add_argument("--show", action="store_true", help="print the commands, and do nothing")
    return flags.parse_args()


def runs_of(args):
    """All runs that the flags ask for; those of the first seed come first."""
    # What the flags do not say, the recipe does.
    recipe = RECIPES[args.recipe]
    shares = args.shares or recipe.shares
    steps = args.max_steps or recipe.steps

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

    # Make them. Ctrl-C reaches the commands by itself; another request to end is passed on.
    processes = Processes()
    signal.signal(signal.SIGTERM, processes.end)
    try:
        data = RECIPES[args.recipe].data
        if not (ROOT / data).is_dir():
            raise ValueError(
                f"--recipe={args.recipe}: there is no {data}; make it as docs/{args.recipe}.md says"
            )
        out.mkdir(parents=True, exist_ok=True)
        failures = measure_all(runs, out, jobs=args.jobs, finish=processes.finish)
    except (Failed, OSError, ValueError) as error:
        results.fail(error)
    except KeyboardInterrupt:
        results.fail("interrupted; the same command goes on from here")
    if failures:
        results.fail("; ".join(failures))


if __name__ == "__main__":
    main()
