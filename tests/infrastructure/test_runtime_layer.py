"""The list of the runtime layer: complete for what the Lambdas import, at the versions of the product."""

from __future__ import annotations

import ast
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from recommender.contracts.folders import MARKER

from cdk.constructs.layers import ARCHITECTURE, RUNTIME
from cdk.layer_sources import BUILT, DIGEST, sources
from tests.infrastructure.conftest import Synthesis, synthesise

ROOT = Path(__file__).parents[2]
LISTED = ROOT / "layers" / "runtime" / "requirements.txt"
BUILD = runpy.run_path(str(ROOT / "layers" / "runtime" / "build.py"))  # a script, not a package
IN_THE_RUNTIME = {"boto3", "botocore"}  # Lambda brings them
OURS = {"recommender"}
OWN = ROOT / "layers" / "recommender"


def pins(path: Path) -> dict[str, str]:
    return dict(re.findall(r"^([\w.-]+)(?:\[\w+\])?==([\w.]+)", path.read_text(), flags=re.MULTILINE))


def imported(file: Path) -> Iterator[str]:
    """Top-level names that a module imports, wherever it does so."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module.partition(".")[0]


def test_the_layer_has_every_package_that_the_lambdas_import() -> None:
    files = [*(ROOT / "functions").rglob("*.py"), *(ROOT / "layers/recommender/python/recommender").rglob("*.py")]
    names = {name for file in files for name in imported(file)} - sys.stdlib_module_names - OURS - IN_THE_RUNTIME
    listed = {name.replace("-", "_").lower() for name in pins(LISTED)}
    distributions = packages_distributions()
    needed = {distributions[name][0].replace("-", "_").lower() for name in names}
    assert {"numpy", "onnxruntime", "tokenizers", "aws_lambda_powertools"} <= needed <= listed


def test_the_layer_has_the_versions_of_the_product() -> None:
    product = pins(ROOT / "requirements.txt")
    layer = pins(LISTED)
    shared = product.keys() & layer.keys()
    assert shared >= {"numpy", "onnxruntime", "tokenizers", "aws-lambda-powertools"}
    assert {name: layer[name] for name in shared} == {name: product[name] for name in shared}


def test_the_layer_is_built_for_the_runtime_of_the_functions() -> None:
    assert RUNTIME.name == f"python{BUILD['PYTHON_VERSION']}"
    assert ARCHITECTURE.name == "arm64"  # aarch64, the default of the build


def test_what_is_left_out_is_not_what_serving_imports(tmp_path: Path) -> None:
    for name in ("onnxruntime/capi", "onnxruntime/transformers", "numpy/_core/tests", "numpy/linalg"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "module.py").write_text("")

    BUILD["_trim"](tmp_path)

    left = {file.relative_to(tmp_path).as_posix() for file in tmp_path.rglob("*.py")}
    assert left == {"onnxruntime/capi/module.py", "numpy/linalg/module.py"}


def build(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The build, up to where it would fetch packages: there is no index at this address."""
    nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "0", "PIP_CONFIG_FILE": os.devnull}
    environment = {**os.environ, "PIP_NO_INDEX": "1", **nowhere, **variables}
    return subprocess.run(
        [sys.executable, "layers/runtime/build.py", *arguments],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_without_an_interpreter_of_the_runtime_nothing_is_built_unless_told_otherwise(tmp_path: Path) -> None:
    elsewhere = {"PATH": str(tmp_path), "HOME": str(tmp_path)}
    with pytest.raises(
        BUILD["CannotBuild"], match=r"there is no Python 3\.13 .* RUNTIME_PYTHON=….*ALLOW_NO_BYTECODE=1"
    ):
        find_with_version("3.11", elsewhere)
    for told in (build("--out", str(tmp_path / "layer"), "--allow-no-bytecode", **elsewhere),
                 build("--out", str(tmp_path / "layer"), ALLOW_NO_BYTECODE="1", **elsewhere)):  # fmt: skip
        assert "could not fetch the packages" in told.stderr.splitlines()[-1]  # it went on to the packages


def find_with_version(version: str, environment: dict[str, str]) -> str:
    """The search as on a machine whose own Python is of `version`."""
    search = BUILD["find_interpreter"]
    own = search.__globals__["_version"]
    search.__globals__["_version"] = lambda candidate: version if candidate == sys.executable else own(candidate)
    try:
        found: str = search(environment)
    finally:
        search.__globals__["_version"] = own
    return found


def test_an_interpreter_that_the_shims_hide_is_found(tmp_path: Path) -> None:
    shim, real = tmp_path / "shims/python3.13", tmp_path / "pyenv/versions/3.13.0/bin/python3.13"
    for path, text in ((shim, "#!/bin/sh\necho no such version >&2; exit 127\n"), (real, "#!/bin/sh\necho 3.13\n")):
        path.parent.mkdir(parents=True)
        path.write_text(text)
        path.chmod(0o755)
    environment = {"PATH": str(shim.parent), "PYENV_ROOT": str(tmp_path / "pyenv"), "HOME": str(tmp_path)}
    assert find_with_version("3.11", environment) == str(real)


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("/no/such", "cannot be run"),
        ("/bin/false", "cannot be run"),
        ("/dev/null", "cannot be run"),
        ("other", "is Python 2.7"),
    ],
)
def test_a_wrong_interpreter_is_named_in_one_sentence(named: str, said: str, tmp_path: Path) -> None:
    if named == "other":
        named = str(tmp_path / "python2.7")
        Path(named).write_text("#!/bin/sh\necho 2.7\n")
        Path(named).chmod(0o755)
    done = build("--out", str(tmp_path / "layer"), RUNTIME_PYTHON=named)
    assert (done.returncode, done.stderr) == (1, f"RUNTIME_PYTHON={named} {said}, expected a Python 3.13.\n")
    assert not (tmp_path / "layer").exists()


def test_our_own_layer_has_byte_code_for_every_module_and_the_same_wherever_it_is_built(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        BUILD["_build_own"](tmp_path / name / BUILT, sys.executable)

    first, second = (contents(tmp_path / name / BUILT) for name in ("one", "two"))
    assert first == second
    modules = {path for path in first if path.endswith(".py")}
    assert len(modules) > 50
    assert {path for path in first if path.endswith(".pyc")} == {byte_code_of(path) for path in modules}
    # PEP 552: the flags say that it is checked by hash, and never
    assert {first[byte_code_of(path)][4:8] for path in modules} == {b"\x01\x00\x00\x00"}
    assert {path: content for path, content in first.items() if path in modules} == {
        file.relative_to(OWN).as_posix(): file.read_bytes() for file in sources(OWN) if file.suffix == ".py"
    }


def test_third_party_packages_get_byte_code_for_every_module(tmp_path: Path) -> None:
    (tmp_path / "package/inner").mkdir(parents=True)
    for name in ("package/__init__.py", "package/inner/module.py"):
        (tmp_path / name).write_text("ANSWER = {'a', 'b', 'c'}\n")
    BUILD["_compile"](tmp_path, sys.executable)
    assert sum(1 for _ in tmp_path.rglob("*.pyc")) == 2


def test_the_deployed_layer_has_the_byte_code_that_was_built_from_todays_sources(tmp_path: Path) -> None:
    folder = tmp_path / "synthesis"
    folder.mkdir()
    BUILD["_build_own"](folder / BUILT, sys.executable)

    shipped = asset_of_recommender(synthesise(folder))

    assert sum(1 for _ in shipped.rglob("*.pyc")) == sum(1 for _ in shipped.rglob("*.py")) > 50
    assert {path.name for path in shipped.iterdir()} == {"python"}  # neither the digest nor the marker


def test_a_layer_that_was_built_from_other_sources_is_not_deployed(tmp_path: Path) -> None:
    folder = tmp_path / "synthesis"
    (folder / BUILT / "python/recommender").mkdir(parents=True)
    (folder / BUILT / "python/recommender/yesterday.py").write_text("")
    (folder / BUILT / DIGEST).write_text("ab" * 32)

    synthesis = synthesise(folder)
    shipped = asset_of_recommender(synthesis)

    assert contents(shipped) == {file.relative_to(OWN).as_posix(): file.read_bytes() for file in sources(OWN)}
    assert "run `make layers`" in "".join(file.read_text() for file in folder.glob("*.metadata.json"))


def asset_of_recommender(synthesis: Synthesis) -> Path:
    layers = synthesis.resources("AWS::Lambda::LayerVersion", "serving")
    (found,) = (layer for name, layer in layers.items() if name.startswith("LayersRecommender"))
    return synthesis.asset(found)


def contents(folder: Path) -> dict[str, bytes]:
    files = (file for file in folder.rglob("*") if file.is_file() and file.name not in (DIGEST, MARKER))
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def byte_code_of(path: str) -> str:
    module = Path(path)
    return (module.parent / "__pycache__" / f"{module.stem}.{sys.implementation.cache_tag}.pyc").as_posix()
