"""Build the layer of third-party packages into .build/runtime-layer, without Docker.

pip fetches the wheels of Lambda's platform, whatever machine this runs on. What serving never imports is
left out, and byte code is compiled ahead where an interpreter of the runtime's version is at hand: a layer
is read-only, so a missing .pyc is paid for at every cold start.

    python layers/runtime/build.py [--platform x86_64] [--out .build/runtime-layer]
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

PYTHON_VERSION = "3.13"
LIMIT_MB = 250  # Lambda's limit for a function and its layers, unzipped
HERE = Path(__file__).parent
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


def main() -> int:
    """Install, trim, compile, weigh; the folder appears only when all of it succeeded."""
    options = _options()
    staging = options.out.with_name(options.out.name + ".staging")
    shutil.rmtree(staging, ignore_errors=True)
    packages = staging / "python"
    _install(packages, options.platform)
    _trim(packages)
    compiled = _compile(packages)
    size_mb = _size_mb(staging)
    if size_mb >= LIMIT_MB:
        print(f"the layer weighs {size_mb:.0f} MB, expected less than {LIMIT_MB} MB", file=sys.stderr)
        return 1
    shutil.rmtree(options.out, ignore_errors=True)
    staging.rename(options.out)
    note = "byte code included" if compiled else f"no byte code: no python{PYTHON_VERSION} found"
    print(f"{options.out}: {size_mb:.0f} MB unzipped, {options.platform}, {note}")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--platform", default="aarch64", choices=("aarch64", "x86_64"))
    parser.add_argument("--out", type=Path, default=Path(".build/runtime-layer"))
    return parser.parse_args()


def _install(target: Path, machine: str) -> None:
    """Wheels of the platform only, exactly the listed versions, no dependencies."""
    platforms = [word for tag in WHEEL_TAGS for word in ("--platform", f"{tag}_{machine}")]
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary=:all:", "--no-compile", "--implementation", "cp"]
    command += ["--python-version", PYTHON_VERSION, *platforms]
    command += ["--target", str(target), "--requirement", str(HERE / "requirements.txt")]
    subprocess.run(command, check=True)


def _trim(packages: Path) -> None:
    """Leave out tests, training tools and headers."""
    for name in UNUSED:
        shutil.rmtree(packages / name, ignore_errors=True)
    for folder in sorted(packages.rglob("*")):
        if folder.is_dir() and folder.name in ("tests", "include"):
            shutil.rmtree(folder)


def _compile(packages: Path) -> bool:
    """Byte code that is never checked against its source; needs the runtime's own minor version."""
    interpreter = _interpreter()
    if interpreter is None:
        return False
    command = [interpreter, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", str(packages)]
    # -s/-p: the paths in the byte code are those of the layer, so the build folder changes no hash
    subprocess.run([*command, "-s", str(packages), "-p", "/opt/python"], check=True)
    return True


def _interpreter() -> str | None:
    """A python of the runtime's version: this one, or one on the PATH or named by RUNTIME_PYTHON."""
    if f"{sys.version_info.major}.{sys.version_info.minor}" == PYTHON_VERSION:
        return sys.executable
    candidate = os.environ.get("RUNTIME_PYTHON") or shutil.which(f"python{PYTHON_VERSION}")
    if candidate is None or subprocess.run([candidate, "-V"], capture_output=True, check=False).returncode != 0:
        return None
    return candidate


def _size_mb(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 2**20


if __name__ == "__main__":
    raise SystemExit(main())
