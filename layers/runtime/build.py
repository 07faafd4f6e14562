"""Build the two Lambda layers into .build, without Docker: third-party packages, and our own package with byte code.

pip fetches the wheels of Lambda's platform, whatever machine this runs on, and what serving never imports is left out.
Both layers get byte code of the runtime's version: a layer is read-only, so a missing .pyc is paid for at every cold
start. That needs an interpreter of that version: this one, one on the PATH, of pyenv or of uv, or RUNTIME_PYTHON.

    python layers/runtime/build.py [--platform x86_64] [--out .build/runtime-layer] [--allow-no-bytecode]

Decisions: docs/decisions/cdk.md (224).
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from recommender.contracts.folders import LAYER, claim, fresh
from recommender.errors import RecommenderError

from cdk.layer_sources import BUILT, DIGEST, digest_of, sources

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PYTHON_VERSION = "3.13"
LIMIT_MB = 250  # Lambda's limit for a function and its layers, unzipped
OWN = ROOT / "layers" / "recommender"
WHEEL_TAGS = ("manylinux2014", "manylinux_2_27", "manylinux_2_28")  # Amazon Linux 2023 has glibc 2.34
UNUSED = (
    "onnxruntime/tools",
    "onnxruntime/transformers",
    "onnxruntime/quantization",
    "onnxruntime/datasets",
    "onnxruntime/backend",
    "numpy/f2py",
    "bin",
)


class CannotBuild(RuntimeError):
    """There is no layer; the message is the reason, in one sentence."""


def main(arguments: list[str] | None = None) -> int:
    """Build both; each folder appears only when all of it succeeded."""
    options = _options(arguments)
    try:
        interpreter = None if options.allow_no_bytecode else find_interpreter(os.environ)
        for folder in (options.out, options.out.with_name(BUILT)):
            claim(folder, LAYER)  # before the packages are fetched
        size_mb = _build_runtime(options, interpreter)
        _build_own(options.out.with_name(BUILT), interpreter)
    except (CannotBuild, RecommenderError, OSError) as error:
        print(f"{str(error).rstrip('.')}.", file=sys.stderr)
        return 1
    note = f"byte code of {interpreter}" if interpreter else "no byte code: every cold start compiles"
    print(f"{options.out}: {size_mb:.0f} MB unzipped, {options.platform}, {note}")
    print(f"{options.out.with_name(BUILT)}: our own package, {note}")
    return 0


def find_interpreter(environment: Mapping[str, str]) -> str:
    """A Python of the runtime's version that can be run: the named one, else the first. Raises CannotBuild."""
    named = environment.get("RUNTIME_PYTHON")
    if named:
        if (found := _version(named)) != PYTHON_VERSION:
            said = f"is Python {found}" if found else "cannot be run"
            raise CannotBuild(f"RUNTIME_PYTHON={named} {said}, expected a Python {PYTHON_VERSION}")
        return named
    for candidate in _candidates(environment):
        if _version(candidate) == PYTHON_VERSION:
            return candidate
    raise CannotBuild(
        f"there is no Python {PYTHON_VERSION} to compile the byte code of the layers with: install one, name it with"
        " RUNTIME_PYTHON=…, or build without byte code (ALLOW_NO_BYTECODE=1), and wait longer at each cold start"
    )


def _candidates(environment: Mapping[str, str]) -> Iterator[str]:
    """This Python, those on the PATH, those of pyenv (whose shims may refuse to run one), those of uv."""
    yield sys.executable
    name = f"python{PYTHON_VERSION}"
    for folder in environment.get("PATH", os.defpath).split(os.pathsep):
        if found := shutil.which(name, path=folder):
            yield found
    home = Path(environment.get("HOME", "/nonexistent"))
    pyenv = Path(environment.get("PYENV_ROOT") or home / ".pyenv") / "versions"
    uv = Path(environment.get("UV_PYTHON_INSTALL_DIR") or home / ".local/share/uv/python")
    for root, pattern in ((pyenv, f"{PYTHON_VERSION}*/bin/{name}"), (uv, f"cpython-{PYTHON_VERSION}*/bin/{name}")):
        yield from sorted(map(str, root.glob(pattern)), reverse=True)


def _version(interpreter: str) -> str:
    """Its version as 3.13; empty where it cannot be run."""
    command = [interpreter, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="recommender ops layers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--platform", default="aarch64", choices=("aarch64", "x86_64"))
    parser.add_argument("--out", type=Path, default=Path(".build/runtime-layer"), help=f"{BUILT} is made beside it")
    parser.add_argument(
        "--allow-no-bytecode",
        action="store_true",
        default=os.environ.get("ALLOW_NO_BYTECODE", "") not in ("", "0"),
        help="build although there is no Python of the runtime's version (also ALLOW_NO_BYTECODE=1)",
    )
    return parser.parse_args(arguments)


def _build_runtime(options: argparse.Namespace, interpreter: str | None) -> float:
    """The layer of third-party packages; its size in MB."""
    with tempfile.TemporaryDirectory(prefix=f".{options.out.name}-", dir=options.out.parent) as folder:
        packages = Path(folder) / "python"
        _install(packages, options.platform)
        _trim(packages)
        _compile(packages, interpreter)
        size_mb = _size_mb(Path(folder))
        if size_mb >= LIMIT_MB:
            raise CannotBuild(f"the layer weighs {size_mb:.0f} MB, expected less than {LIMIT_MB} MB")
        packages.rename(fresh(options.out, LAYER) / "python")
    return size_mb


def _build_own(out: Path, interpreter: str | None) -> None:
    """The layer of our own package: its sources with their byte code, and the digest that says which sources."""
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as folder:
        for file in sources(OWN):
            target = Path(folder) / file.relative_to(OWN)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
        _compile(Path(folder) / "python", interpreter)
        (Path(folder) / "python").rename(fresh(out, LAYER) / "python")
    (out / DIGEST).write_text(digest_of(OWN) + "\n")


def _install(target: Path, machine: str) -> None:
    """Wheels of the platform only, exactly the listed versions, no dependencies."""
    platforms = [word for tag in WHEEL_TAGS for word in ("--platform", f"{tag}_{machine}")]
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary=:all:", "--no-compile", "--implementation", "cp"]
    command += ["--python-version", PYTHON_VERSION, *platforms]
    command += ["--target", str(target), "--requirement", str(HERE / "requirements.txt")]
    if subprocess.run(command, check=False).returncode != 0:
        raise CannotBuild("pip could not fetch the packages of layers/runtime/requirements.txt (its message is above)")


def _trim(packages: Path) -> None:
    """Leave out tests, training tools and headers."""
    for name in UNUSED:
        shutil.rmtree(packages / name, ignore_errors=True)
    for folder in sorted(packages.rglob("*")):
        if folder.is_dir() and folder.name in ("tests", "include"):
            shutil.rmtree(folder)


def _compile(packages: Path, interpreter: str | None) -> None:
    """Byte code that is never checked against its source; needs the runtime's own minor version."""
    if interpreter is None:
        return
    command = [interpreter, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", str(packages)]
    # -s/-p: the paths in the byte code are those of the layer, and sets have one order, so no build changes a hash
    command += ["-s", str(packages), "-p", "/opt/python"]
    if subprocess.run(command, check=False, env={**os.environ, "PYTHONHASHSEED": "0"}).returncode != 0:
        raise CannotBuild(f"{interpreter} could not compile {packages} (its message is above)")


def _size_mb(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 2**20


if __name__ == "__main__":
    raise SystemExit(main())
