"""Makes the tables of docs/own-pictures.md from the results of run.py: mean (least to largest).

  python docs/little_data/table.py checkpoint/little_data/results.jsonl

It needs nothing but Python.
"""

import results  # From here on the modules of docs/scripts are there.

# isort: split
import markdown_tables as markdown

# Heading of a column, name of the value, factor, digits after the point.
COLUMNS = (
    ("FID", "fid", 1, 2),
    ("recall", "recall", 1, 2),
    ("coverage", "coverage", 1, 2),
    ("nearest", "nearest", 1, 2),
    ("copies, %", "copies", 100, 1),
)


def tables(rows):
    """A Markdown table for each recipe, number of steps and flagfile, as lines of text.

    Args:
      rows: of the file of results, in any order.
    """
    lines = []
    by_table = markdown.grouped(rows, ("recipe", "steps", "settings"))
    for (recipe, steps, settings), own in by_table.items():
        # Say what it is a table of.
        lines += ["", f"{recipe}, {steps:,} steps, flagfile {settings or 'not known'}:", ""]
        headings = ["images", "augmentation", "seeds", *(heading for heading, *_ in COLUMNS)]
        lines += [markdown.line_of(headings), markdown.line_of(["---"] * len(headings))]

        # Few images come first; augmentations keep their order.
        ordered = sorted(own, key=lambda row: row["images"])
        for (images, name), runs in markdown.grouped(ordered, ("images", "augmentation")).items():
            cells = [f"{images:,}", name, str(len(runs))]
            for _, value, factor, digits in COLUMNS:
                numbers = [factor * run["values"][value] for run in runs]
                cells.append(markdown.cell(numbers, digits=digits))
            lines.append(markdown.line_of(cells))
    return lines[1:]


def main():
    # Read the results.
    flags = results.Parser(description="Makes Markdown tables from the results of run.py.")
    flags.add_argument("results", metavar="RESULTS", help="the file that run.py writes")
    args = flags.parse_args()
    try:
        rows = results.read(args.results)
    except (OSError, ValueError) as error:
        results.fail(error)

    # Make the tables.
    if not rows:
        results.fail(f"{args.results}: it holds no results; run.py writes them")
    print(*tables(rows.values()), sep="\n")


if __name__ == "__main__":
    main()
