"""The sample of mutants is the same for a seed, and every one of them changes code that runs."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

pytest.importorskip("cosmic_ray", reason="`make mutate` installs it")

from tests.mutation.__main__ import DOMAIN, ROOT, TESTS, own_tests
from tests.mutation.mutants import mutants, sample

CODE = '''"""Two plus 2."""

LIMIT: int | None = 3


def smaller(a: int | None, b: int = 2) -> bool:
    """Whether a < b + 1."""
    return a is not None and a < b + 1
'''


def test_only_code_that_runs_is_changed(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text(CODE)

    found = list(mutants(tmp_path / "code.py"))

    assert {line for line, _ in (mutant.start for mutant in found)} == {6, 8}  # the default 2, and the comparison
    assert ("return a is not None and a < b + 1", "return a is not None and a <= b + 1") in {
        mutant.line() for mutant in found
    }


def test_every_mutant_is_another_program(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text(CODE)

    for mutant in mutants(tmp_path / "code.py"):
        assert ast.dump(ast.parse(mutant.code())) != ast.dump(ast.parse(CODE)), mutant


def test_a_seed_draws_the_same_places_each_once() -> None:
    found = list(mutants(ROOT / DOMAIN / "serving/visit.py"))

    first, again, other = (sample(found, size=20, seed=seed) for seed in (1, 1, 2))

    assert first == again != other
    assert len({mutant.start for mutant in first}) == 20


def test_the_tests_of_a_module_have_its_name() -> None:
    assert [path.name for path in own_tests(Path("promises.py"), ROOT / TESTS)] == ["test_promises.py"]
