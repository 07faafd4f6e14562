"""The mutants of a folder: each place where one of cosmic-ray's operators changes what the code does.

Annotations, decorators and docstrings are passed over, for they do nothing, and constants at the top of a module, which
are chosen on data and pinned by no test. One place is drawn at most once.
"""

from __future__ import annotations

import ast
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator

BINARY: Final = (
    "Add_Sub",
    "Sub_Add",
    "Mul_Div",
    "Div_Mul",
    "FloorDiv_Mul",
    "Mod_Mul",
    "Pow_Mul",
    "BitOr_BitAnd",
    "BitAnd_BitOr",
)
COMPARISON: Final = (
    "Eq_NotEq",
    "NotEq_Eq",
    "Lt_LtE",
    "Lt_Gt",
    "LtE_Lt",
    "Gt_GtE",
    "Gt_Lt",
    "GtE_Gt",
    "Is_IsNot",
    "IsNot_Is",
)
UNARY: Final = ("Delete_USub", "Delete_Invert", "Delete_Not")
OTHERS: Final = (
    "AddNot",
    "ReplaceTrueWithFalse",
    "ReplaceFalseWithTrue",
    "ReplaceAndWithOr",
    "ReplaceOrWithAnd",
    "ReplaceBreakWithContinue",
    "ReplaceContinueWithBreak",
    "NumberReplacer",
    "ZeroIterationForLoop",
)
OPERATORS: Final = (
    *(f"core/ReplaceBinaryOperator_{name}" for name in BINARY),
    *(f"core/ReplaceComparisonOperator_{name}" for name in COMPARISON),
    *(f"core/ReplaceUnaryOperator_{name}" for name in UNARY),
    *(f"core/{name}" for name in OTHERS),
)
Position = tuple[int, int]  # line from 1, column from 0


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change: the n-th place in a file where an operator applies."""

    path: Path
    operator: str
    occurrence: int
    start: Position

    def code(self) -> str:
        """Return the file with the change."""
        changed = mutate_code(self.path.read_text(), _operator(self.operator), self.occurrence)
        if changed is None:
            raise ValueError(f"{self.path} has no place {self.occurrence} for {self.operator}")
        return str(changed)

    def line(self) -> tuple[str, str]:
        """Return the line as it is, and as it is changed."""
        before, after = self.path.read_text().splitlines(), self.code().splitlines()
        number = next(n for n, (old, new) in enumerate(zip(before, after, strict=False)) if old != new)
        return before[number].strip(), after[number].strip()


def mutants(path: Path) -> Iterator[Mutant]:
    """All mutants of a file that can change what it does."""
    source = path.read_text()
    silent = list(_silent(ast.parse(source)))
    nodes = list(ast_nodes(get_ast(source)))
    for name in OPERATORS:
        operator = _operator(name)
        places = [start for node in nodes for start, _ in operator.mutation_positions(node)]
        for occurrence, start in enumerate(places):
            if not any(first <= start < last for first, last in silent):
                yield Mutant(path, name, occurrence, start)


def sample(found: Sequence[Mutant], *, size: int, seed: int) -> list[Mutant]:
    """Draw `size` places by the seed, and one of the mutants of each."""
    places: dict[tuple[Path, Position], list[Mutant]] = {}
    for mutant in found:
        places.setdefault((mutant.path, mutant.start), []).append(mutant)
    drawn = random.Random(seed)
    keys = drawn.sample(sorted(places), min(size, len(places)))
    return [drawn.choice(places[key]) for key in keys]


def _operator(name: str) -> Any:
    return get_operator(name)()


def _silent(tree: ast.Module) -> Iterator[tuple[Position, Position]]:
    """The stretches of annotations, decorators, docstrings and constants at the top."""
    top = {node.value for node in tree.body if isinstance(node, ast.Assign | ast.AnnAssign) and node.value}
    for node in ast.walk(tree):
        quiet: list[ast.expr | None] = [node] if isinstance(node, ast.expr) and node in top else []
        if isinstance(node, ast.AnnAssign | ast.arg):
            quiet.append(node.annotation)
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            quiet += node.decorator_list
        if isinstance(node, ast.FunctionDef):
            quiet.append(node.returns)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            quiet.append(node.value)
        for part in quiet:
            if part is not None and part.end_lineno is not None and part.end_col_offset is not None:
                yield (part.lineno, part.col_offset), (part.end_lineno, part.end_col_offset)
