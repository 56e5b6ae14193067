"""Crafted files, each loaded: ``python -m tests.attacks.crafted FOLDER``.

Prints as JSON what became of each file, by name: "loaded", or what the ValueError says.
"""

import json
import sys
from pathlib import Path

from tests.attacks.bounds import bound, content, outcome


def main(folder: str) -> None:
    bound()
    said = {}
    for path in sorted(Path(folder).glob("*.nc")):
        print("loading", path.name, file=sys.stderr, flush=True)  # the last one is to blame
        result, found = outcome(path)
        said[path.stem] = found if result == "refused" else content(found)
    print(json.dumps(said))


if __name__ == "__main__":
    main(sys.argv[1])
