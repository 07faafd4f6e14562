"""docs/deploy.md from a clean clone: each command exists and takes its arguments, with cdk/requirements.txt alone."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from itertools import pairwise
from pathlib import Path

import botocore.session
import pytest
from packaging.requirements import Requirement

from cdk.deployment import CONTEXT_NAMES, ENVIRONMENTS, ROOT
from cdk.node import use_bundled_node

PAGE = (ROOT / "docs" / "deploy.md").read_text()
README = (ROOT / "README.md").read_text()
DIGEST = "ab" * 32
SHELL = {"export", "printf", "mkdir", "touch", "curl", "jq", "grep", "value", "pool", "sha256sum", "cut"}
OURS = {"cdk", "recommender", "training_jobs", "app"}


def blocks() -> list[str]:
    return re.findall(r"```bash\n(.*?)```", PAGE, flags=re.DOTALL)


def commands() -> Iterator[list[str]]:
    """Every command of the page's blocks as words, its comment left out; function bodies and settings among them."""
    for block in blocks():
        for line in block.replace("\\\n", " ").splitlines():
            body = re.sub(r"^\w+\(\) \{(.*)\}$", r"\1", line)
            for part in re.split(r"&&|;|\s&(?:\s|$)", re.sub(r"\s+#.*$", "", body)):
                words = shlex.split(part.strip())
                while words and re.fullmatch(r"\w+=.*", words[0]):
                    words = words[1:]
                if words:
                    yield words


def takes_make(words: list[str]) -> None:
    done = subprocess.run(["make", "-n", *words[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def takes_recommender(words: list[str]) -> None:
    """The command takes these arguments: with one more that it must refuse, it refuses only that."""
    refused = subprocess.run(
        [sys.executable, "-m", "local", *words[1:], "--no-such-option"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "layers/recommender/python")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 2
    assert refused.stderr.strip().endswith("error: unrecognized arguments: --no-such-option")


def takes_cdk(words: list[str]) -> None:
    assert words[1] in ("bootstrap", "deploy")
    options = [word for word in words[2:] if word.startswith("-")]
    assert set(options) <= {"--all", "--outputs-file", "--require-approval", "-c"}
    given = {word.partition("=")[0] for before, word in pairwise(words) if before == "-c"}
    assert given <= set(CONTEXT_NAMES)


def takes_aws(words: list[str]) -> None:
    """The AWS command line's names are those of botocore's models; `s3` is its own."""
    service, operation, *rest = words[1:]
    options = {word[2:] for word in rest if word.startswith("--")}
    if service == "s3":
        assert (operation, options) in (("sync", {"delete"}), ("cp", set()))
        assert Path(rest[0]).parts[0] in (".build", "startup.sh")
        return
    model = botocore.session.get_session().get_service_model(service)
    (found,) = (name for name in model.operation_names if _dashed(name) == operation)
    assert options <= {_dashed(member) for member in model.operation_model(found).input_shape.members}


def takes_pip(words: list[str]) -> None:
    assert words[1] == "install"


def takes_ministack(words: list[str]) -> None:
    assert words[1:] == []


TAKES: Mapping[str, Callable[[list[str]], None]] = {
    "make": takes_make,
    ".venv/bin/recommender": takes_recommender,
    "cdk": takes_cdk,
    "aws": takes_aws,
    ".venv/bin/pip": takes_pip,
    ".venv/bin/ministack": takes_ministack,
}


@pytest.mark.parametrize("words", list(commands()), ids=lambda words: " ".join(words)[:60])
def test_every_command_of_the_page_exists_and_takes_its_arguments(words: list[str]) -> None:
    assert words[0] in TAKES.keys() | SHELL
    if words[0] in TAKES:
        TAKES[words[0]](words)


@pytest.mark.parametrize("number", range(len(blocks())))
def test_every_block_of_the_page_is_shell(number: int) -> None:
    done = subprocess.run(["bash", "-n"], input=blocks()[number], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_steps_stand_in_the_order_in_which_they_need_each_other() -> None:
    """The layers make the environment in which `cdk` runs app.py; outputs are read after they are written."""
    asked = [" ".join(words) for words in commands()]
    first = {start: next(place for place, line in enumerate(asked) if line.startswith(start)) for start in STEPS}
    assert list(first) == sorted(first, key=lambda start: first[start])
    assert "make layers && cdk deploy --all" in README


STEPS = ("make layers", "cdk bootstrap", "cdk deploy --all", "jq", ".venv/bin/recommender ops pipeline upsert")


def test_what_the_steps_run_from_is_made_of_the_requirements_for_deploying_alone() -> None:
    """`make layers`, from nothing: it makes the environment, installs this one list, builds."""
    fresh = ["make", "-n", "-W", "cdk/requirements.txt", "-W", "requirements.txt", "layers"]
    done = subprocess.run(fresh, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    installed = set(re.findall(r"-r (\S+requirements\S*\.txt)", done))
    assert installed == {"cdk/requirements.txt"}
    assert json.loads((ROOT / "cdk.json").read_text())["app"] == ".venv/bin/python app.py"


WITHOUT = """
import runpy, sys
sys.argv = sys.argv[1:]
absent = set(sys.argv.pop(0).split())

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in absent:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
if sys.argv[0].endswith(".py"):
    runpy.run_path(sys.argv[0], run_name="__main__")
else:
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize(
    "arguments",
    [("app.py",), ("training_jobs.pipeline", "definition"), ("layers/runtime/build.py", "--help")],
    ids=lambda arguments: arguments[0],
)
def test_deploying_needs_only_what_its_requirements_bring(arguments: tuple[str, ...], tmp_path: Path) -> None:
    """Every package that pip would not install for cdk/requirements.txt is taken away."""
    brought = closure()
    absent = {
        name
        for name, distributions in packages_distributions().items()
        if not {_plain(distribution) for distribution in distributions} & brought
    } - OURS
    assert {"torch", "duckdb", "fakesnow", "ministack", "transformers", "polars"} <= absent
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "CDK_"))},
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "layers/recommender/python"))),
        "CDK_OUTDIR": str(tmp_path / "out"),
        **{f"TRAINING_{name}": "x" for name in ("PIPELINE_NAME", "ARTIFACTS_BUCKET", "SHOPPERS_TABLE")},
        "TRAINING_ROLE_ARN": "arn:aws:iam::111122223333:role/jobs",
        "TRAINING_EXPORTS_URI": "s3://x/exports",
        "TRAINING_REGION": "eu-central-1",
    }
    use_bundled_node(environment)
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, " ".join(absent), *arguments],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]


def closure() -> set[str]:
    """The distributions that pip installs for cdk/requirements.txt, by their own metadata."""
    lines = (ROOT / "cdk" / "requirements.txt").read_text().splitlines()
    waiting = [Requirement(line.partition("#")[0]) for line in lines if line.partition("#")[0].strip()]
    found = {"pip", "setuptools"}
    while waiting:
        wanted = waiting.pop()
        if (name := _plain(wanted.name)) in found:
            continue
        try:
            needs = requires(wanted.name) or []
        except PackageNotFoundError:  # not here, so nothing can import it
            continue
        found.add(name)
        extras = wanted.extras or {""}
        waiting += [
            entry
            for entry in map(Requirement, needs)
            if entry.marker is None or any(entry.marker.evaluate({"extra": extra}) for extra in extras)
        ]
    return found


def test_the_context_of_the_page_is_the_context_that_the_application_reads() -> None:
    listed = set(re.findall(r"^\| `(\w+)` \|", PAGE, flags=re.MULTILINE))
    assert listed == set(CONTEXT_NAMES)
    assert "environment=prod" in PAGE
    assert "prod" in ENVIRONMENTS


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _dashed(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=\d)(?=[A-Z])", "-", name).lower()
