"""Make a run of a million fetches up, and say how long it takes to read, judge and draw it.

`python -m tests.large_run FOLDER` writes the run into a folder; `python -m tests.large_run FOLDER
read` reads it, and prints the seconds and the memory (MB) at most as JSON.
"""

import json
import resource
import sys
import time
from pathlib import Path

from experiment import load
from experiment.analysis import claims
from experiment.report import figures, headline, sentences
from experiment.study import Study
from tests import made_up
from tests.made_up import World, even

STUDY = Study(rounds=10, pages=9_100)


def write(folder: Path) -> None:
    """Write the run: 11 trials a round that fetch 9,100 pages each."""
    made_up.write(folder, STUDY, World(even(STUDY)))


def read(folder: Path) -> dict[str, float]:
    """Load, judge and draw the run; return the seconds of each and the memory (MB)."""
    begun = time.perf_counter()
    results = load(folder)
    loaded = time.perf_counter()
    judged = claims.judge(results)
    headline.certainty(results, judged)
    sentences.means(results)
    sentences.instrument(results)
    judged_at = time.perf_counter()
    for layout in figures.REPORT:
        figures.drawn(layout.draw, results, judged)
    drawn = time.perf_counter()
    return {
        "fetches": len(results.fetches),
        "load_s": loaded - begun,
        "judge_s": judged_at - loaded,
        "draw_s": drawn - judged_at,
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
    }


if __name__ == "__main__":
    if sys.argv[2:] == ["read"]:
        print(json.dumps(read(Path(sys.argv[1]))))
    else:
        write(Path(sys.argv[1]))
