"""The environment variables of the Lambdas: one frozen dataclass, read once at each composition root.

CDK sets the variables under these names, and the local run sets the same ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

PREFIX = "RECOMMENDER_"


class MissingSetting(RuntimeError):
    """An environment variable that the process cannot start without."""


@dataclass(frozen=True, slots=True)
class ServingSettings:
    """Names of stores and limits. Field `sessions_table` is read from RECOMMENDER_SESSIONS_TABLE."""

    sessions_table: str
    shoppers_table: str
    experiments_table: str
    ledger_table: str
    catalog_overrides_table: str
    artifacts_bucket: str
    events_bucket: str
    signing_secret_id: str  # Secrets Manager id, or "env:NAME" for a variable of the local run
    publishable_key_digests: str  # SHA-256 hex digests of the browser keys, comma separated
    placements: str = "default"  # name of the placement registry
    snapshot_ttl_seconds: str = "10"
    bundle_ttl_seconds: str = "60"
    bundle_cache_dir: str = "/tmp/bundles"  # noqa: S108 - Lambda's only writable folder

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> ServingSettings:
        """Read every field from its variable; absent ones without a default raise MissingSetting."""
        values = {
            field.name: environment[variable(field.name)]
            for field in fields(cls)
            if variable(field.name) in environment
        }
        try:
            return cls(**values)
        except TypeError:
            missing = [variable(field.name) for field in fields(cls) if variable(field.name) not in environment]
            raise MissingSetting(f"set {', '.join(missing)}") from None

    def to_environment(self) -> dict[str, str]:
        """The variables that recreate these settings."""
        return {variable(field.name): getattr(self, field.name) for field in fields(self)}


def variable(field_name: str) -> str:
    """The environment variable of a settings field."""
    return PREFIX + field_name.upper()
