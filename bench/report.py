"""What the benchmarks share: how figures are printed and where they are kept."""
import json
import os
import statistics


def spread(values: list[float], form: str) -> str:
    """The median, and the range when there is more than one value."""
    if len(values) == 1:
        return f"{values[0]:{form}}"
    return f"{statistics.median(values):{form}} ({min(values):{form}} .. {max(values):{form}})"


def keep(path: str | None, part: str, figures) -> None:
    """Puts the figures into a JSON file under the name of their part; other parts stay."""
    if not path:
        return
    kept = {}
    if os.path.exists(path):
        with open(path) as file:
            kept = json.load(file)
    kept[part] = figures
    with open(path, "w") as file:
        json.dump(kept, file, indent=1)
        file.write("\n")
