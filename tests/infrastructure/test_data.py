"""Tables and buckets: what must not be forgotten, read off the templates."""

from __future__ import annotations

from typing import Any

from recommender.contracts.tables import EXPIRES_AT, TABLES, Table

from tests.infrastructure.conftest import Synthesis


def table_of(synthesis: Synthesis, definition: Table) -> dict[str, Any]:
    name = "".join(part.title() for part in definition.name.split("_"))
    (found,) = (
        properties
        for logical_id, properties in synthesis.resources("AWS::DynamoDB::GlobalTable").items()
        if logical_id.startswith(f"{name}Table")
    )
    return found


def test_every_table_of_the_contract_exists_and_no_other(dev: Synthesis) -> None:
    assert len(dev.resources("AWS::DynamoDB::GlobalTable")) == len(TABLES)
    for definition in TABLES:
        assert table_of(dev, definition)


def test_every_table_has_its_keys(dev: Synthesis) -> None:
    for definition in TABLES:
        keys = {key["KeyType"]: key["AttributeName"] for key in table_of(dev, definition)["KeySchema"]}
        expected = {"HASH": definition.partition_key}
        if definition.sort_key:
            expected["RANGE"] = definition.sort_key
        assert keys == expected


def test_every_table_is_encrypted_and_on_demand(dev: Synthesis) -> None:
    for definition in TABLES:
        table = table_of(dev, definition)
        assert table["SSESpecification"] == {"SSEEnabled": True, "SSEType": "KMS"}
        assert table["BillingMode"] == "PAY_PER_REQUEST"


def test_transient_tables_expire_and_lasting_ones_are_recoverable(dev: Synthesis) -> None:
    for definition in TABLES:
        table = table_of(dev, definition)
        (replica,) = table["Replicas"]
        recovery = replica["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"]
        assert recovery is definition.recoverable
        expected = {"AttributeName": EXPIRES_AT, "Enabled": True} if definition.expires else None
        assert table.get("TimeToLiveSpecification") == expected
        assert definition.expires != definition.recoverable


def test_only_sessions_stream_and_they_carry_new_images(dev: Synthesis) -> None:
    for definition in TABLES:
        expected = {"StreamViewType": "NEW_IMAGE"} if definition.streams else None
        assert table_of(dev, definition).get("StreamSpecification") == expected


def test_production_keeps_its_tables_whatever_happens_to_the_stack(prod: Synthesis) -> None:
    resources = prod.templates["data"]["Resources"].values()
    tables = [resource for resource in resources if resource["Type"] == "AWS::DynamoDB::GlobalTable"]
    assert {table["DeletionPolicy"] for table in tables} == {"Retain"}
    assert all(table["Properties"]["Replicas"][0]["DeletionProtectionEnabled"] for table in tables)


def test_every_bucket_is_private_encrypted_and_versioned(dev: Synthesis) -> None:
    for bucket in dev.resources("AWS::S3::Bucket").values():
        assert all(bucket["PublicAccessBlockConfiguration"].values())
        assert len(bucket["PublicAccessBlockConfiguration"]) == 4
        assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
        (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"


def test_every_bucket_refuses_plain_http_and_old_tls(dev: Synthesis) -> None:
    guarded = {
        policy["Bucket"]["Ref"]: policy["PolicyDocument"]["Statement"]
        for policy in dev.resources("AWS::S3::BucketPolicy").values()
    }
    assert guarded.keys() == dev.resources("AWS::S3::Bucket").keys()
    for statements in guarded.values():
        conditions = [statement["Condition"] for statement in statements if statement["Effect"] == "Deny"]
        assert {"Bool": {"aws:SecureTransport": "false"}} in conditions
        assert {"NumericLessThan": {"s3:TlsVersion": 1.2}} in conditions


def test_every_bucket_forgets_old_versions_and_transient_ones_forget_objects(dev: Synthesis) -> None:
    expiring = {}
    for logical_id, bucket in dev.resources("AWS::S3::Bucket").items():
        rules = bucket["LifecycleConfiguration"]["Rules"]
        assert any("NoncurrentVersionExpiration" in rule for rule in rules)
        assert any("AbortIncompleteMultipartUpload" in rule for rule in rules)
        expiring[logical_id] = {(rule.get("Prefix", ""), rule.get("ExpirationInDays")) for rule in rules}
    (events,) = (rules for name, rules in expiring.items() if name.startswith("Events"))
    (artifacts,) = (rules for name, rules in expiring.items() if name.startswith("Artifacts"))
    assert events == {("", 14)}
    # a published bundle never expires
    assert artifacts == {("", None), ("checkpoints/", 30), ("training/jobs/", 14)}


def test_an_erased_shopper_is_in_no_file_after_thirty_days(dev: Synthesis) -> None:
    """Landed events, exports, and what training jobs hand on to each other."""
    rules = [
        rule
        for logical_id, bucket in dev.resources("AWS::S3::Bucket").items()
        for rule in bucket["LifecycleConfiguration"]["Rules"]
        if logical_id.startswith(("Events", "Exports")) or rule.get("Prefix") == "training/jobs/"
    ]
    assert len(rules) == 3
    for rule in rules:
        old = rule["NoncurrentVersionExpiration"]["NoncurrentDays"]
        # S3 counts from the midnight after, once for the object and once for its old version
        assert rule["ExpirationInDays"] + 1 + old + 1 <= 30


def test_the_signing_secret_is_generated_and_appears_in_no_template(dev: Synthesis) -> None:
    (secret,) = dev.resources("AWS::SecretsManager::Secret").values()
    assert "SecretString" not in secret
    assert secret["GenerateSecretString"]["PasswordLength"] == 64
