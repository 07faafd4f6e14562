"""The tests of the domain stand where its modules stand, one file a module."""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).parent
DOMAIN = TESTS.parents[1] / "layers/recommender/python/recommender/domain"


def test_every_module_has_its_test_file_and_every_test_file_its_module() -> None:
    modules = {path.relative_to(DOMAIN).as_posix() for path in DOMAIN.rglob("*.py") if path.name != "__init__.py"}
    tested = {
        path.relative_to(TESTS).as_posix().replace("test_", "")
        for path in TESTS.rglob("test_*.py")
        if path != Path(__file__)
    }

    assert sorted(modules - tested) == [], "write tests/domain/…/test_<module>.py"
    assert sorted(tested - modules) == [], "move the tests to the file of their module"
