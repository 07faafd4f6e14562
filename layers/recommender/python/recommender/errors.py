"""Every error the product raises on purpose, and the HTTP status each one means.

RecommenderError
├── InvalidInput        400  one or more fields are wrong; carries a FieldProblem for each
├── Unauthorized        401  the key is missing or unknown
├── NotFound            404  the thing named does not exist
├── Conflict            409  a write lost a race or a gate said no
├── TooLarge            413  more items than the contract allows
├── ArtifactRefused     500  a bundle or one of its files is not what its manifest says
└── DependencyDown      503  a store or a model cannot answer (serving degrades instead)

Handlers map these to RFC 9457 problem documents in one place; nothing tests an error by its text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One wrong field: where it is (JSON pointer), what was found, what was expected."""

    pointer: str
    value: str
    expected: str
    code: str = "invalid_argument"

    def __str__(self) -> str:
        return f"{self.pointer} is {self.value}, expected {self.expected}"


class RecommenderError(Exception):
    """Base of the tree; `code` is stable and machine-readable, `status` is the HTTP status."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"
    default_code: ClassVar[str] = "internal_error"

    def __init__(self, detail: str, *, code: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or self.default_code


class InvalidInput(RecommenderError):
    """The caller sent something the contract does not allow."""

    status = 400
    title = "Invalid argument"
    default_code = "invalid_argument"

    def __init__(self, problems: FieldProblem | list[FieldProblem]) -> None:
        self.problems = problems if isinstance(problems, list) else [problems]
        code = self.problems[0].code if len(self.problems) == 1 else None
        super().__init__("; ".join(str(problem) for problem in self.problems), code=code)


class Unauthorized(RecommenderError):
    """The key is missing or is not one of ours."""

    status = 401
    title = "Unauthorized"
    default_code = "unauthorized"


class NotFound(RecommenderError):
    """The placement, item, experiment or artifact named does not exist."""

    status = 404
    title = "Not found"
    default_code = "not_found"


class Conflict(RecommenderError):
    """A conditional write lost, or a gate refused."""

    status = 409
    title = "Conflict"
    default_code = "conflict"


class TooLarge(RecommenderError):
    """A batch or a payload is larger than the contract allows."""

    status = 413
    title = "Too large"
    default_code = "too_large"


class ArtifactRefused(RecommenderError):
    """A bundle, a manifest or one file of it is missing, truncated, altered or of an unknown schema."""

    title = "Artifact refused"
    default_code = "artifact_refused"


class DependencyDown(RecommenderError):
    """A store or a model cannot answer at the moment."""

    status = 503
    title = "Dependency down"
    default_code = "dependency_down"
