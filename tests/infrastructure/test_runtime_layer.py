"""The list of the runtime layer: complete for what the Lambdas import, at the versions of the product."""

from __future__ import annotations

import ast
import re
import runpy
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

from cdk.constructs.layers import ARCHITECTURE, RUNTIME

ROOT = Path(__file__).parents[2]
LISTED = ROOT / "layers" / "runtime" / "requirements.txt"
BUILD = runpy.run_path(str(ROOT / "layers" / "runtime" / "build.py"))  # a script, not a package
IN_THE_RUNTIME = {"boto3", "botocore"}  # Lambda brings them
OURS = {"recommender"}


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
