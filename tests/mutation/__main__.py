"""`make mutate`: does a test fail where one place of the domain is changed?

A seeded sample of mutants is tried on copies of the project: first the tests of the module's own name, then those of
its room in tests/domain, up to the first failure. Survivors are listed. Exit code 1 where fewer than `--least` percent
were killed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Queue
from typing import Final

from tqdm import tqdm

from tests.mutation.mutants import Mutant, mutants, sample

ROOT: Final = Path(__file__).resolve().parents[2]
DOMAIN: Final = Path("layers/recommender/python/recommender/domain")
TESTS: Final = Path("tests/domain")
SECONDS: Final = 180  # of one run of tests; a mutant that takes longer is killed by time
PYTEST: Final = (sys.executable, "-B", "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--no-header", "--tb=no")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a mutant: `survived`, `killed` or `timed out`."""

    mutant: Mutant
    verdict: str


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw, try, list."""
    options = _options(arguments)
    found = [mutant for path in sorted((ROOT / DOMAIN).rglob("*.py")) for mutant in mutants(path)]
    drawn = sample(found, size=options.sample, seed=options.seed)
    with tempfile.TemporaryDirectory() as folder:
        copies = [_copy(Path(folder) / str(n)) for n in range(options.workers)]
        bar = tqdm(_outcomes(drawn, copies), total=len(drawn), unit="mutant", file=sys.stderr)
        outcomes = sorted(bar, key=lambda outcome: (outcome.mutant.path, outcome.mutant.start))
    survivors = [outcome.mutant for outcome in outcomes if outcome.verdict == "survived"]
    for mutant in survivors:
        before, after = mutant.line()
        print(f"{mutant.path.relative_to(ROOT)}:{mutant.start[0]}\n  - {before}\n  + {after}")
    killed = len(outcomes) - len(survivors)
    timed_out = sum(outcome.verdict == "timed out" for outcome in outcomes)
    share = 100 * killed / max(len(outcomes), 1)
    print(f"{killed} of {len(outcomes)} mutants killed ({share:.0f} %), {timed_out} by time; seed {options.seed}")
    return int(share < options.least)


def own_tests(module: Path, tests: Path) -> list[Path]:
    """The tests of the module's own name."""
    return sorted(path for path in tests.rglob("test_*.py") if path.stem == f"test_{module.stem}")


def _outcomes(drawn: Sequence[Mutant], copies: Sequence[Path]) -> Iterator[Outcome]:
    free: Queue[Path] = Queue()
    for copy in copies:
        free.put(copy)

    def attempt(mutant: Mutant) -> Outcome:
        copy = free.get()
        try:
            return Outcome(mutant, _try(mutant, copy))
        finally:
            free.put(copy)

    with ThreadPoolExecutor(len(copies)) as pool:
        for done in as_completed([pool.submit(attempt, mutant) for mutant in drawn]):
            yield done.result()


def _try(mutant: Mutant, copy: Path) -> str:
    """Change the copy, run the tests, change it back."""
    path = copy / mutant.path.relative_to(ROOT)
    intact = path.read_text()
    path.write_text(replace(mutant, path=path).code())
    try:
        own = [str(file.relative_to(copy)) for file in own_tests(path, copy / TESTS)]
        room = TESTS / mutant.path.relative_to(ROOT / DOMAIN).parent
        for chosen in ([own] if own else []) + [[str(room)]]:
            if not _passes(copy, chosen):
                return "killed"
    except subprocess.TimeoutExpired:
        return "timed out"
    finally:
        path.write_text(intact)
    return "survived"


def _passes(copy: Path, chosen: Sequence[str]) -> bool:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    run = subprocess.run(
        [*PYTEST, *chosen], cwd=copy, env=environment, capture_output=True, timeout=SECONDS, check=False
    )
    return run.returncode == 0


def _copy(folder: Path) -> Path:
    """The tracked files, in a folder of their own: an interrupted check leaves the project as it was."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    return folder


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__.splitlines()[0])
    parser.add_argument("--sample", type=int, default=400, help="how many mutants")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="copies that are tested side by side")
    parser.add_argument("--least", type=float, default=0.0, help="percent that must be killed")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
