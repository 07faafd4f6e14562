"""Which account of AWS holds the PyTorch images of a region: the one that the SageMaker SDK pulls from.

Regions that an account has to opt into, and partitions of their own, have accounts of their own. A test compares the
table with the SDK's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import aws_cdk as core
from constructs import Construct

from cdk.deployment import WrongContext

MOST_REGIONS: Final = "763104351884"
IMAGE_ACCOUNTS: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        (
            *("ap-northeast-1", "ap-northeast-2", "ap-south-1", "ap-southeast-1", "ap-southeast-2"),
            *("ca-central-1", "eu-central-1", "eu-north-1", "eu-west-1", "eu-west-2", "eu-west-3", "sa-east-1"),
            *("us-east-1", "us-east-2", "us-west-1", "us-west-2"),
        ),
        MOST_REGIONS,
    ),
    "af-south-1": "626614931356",
    "ap-east-1": "871362719292",
    "ap-east-2": "975050140332",
    "ap-northeast-3": "364406365360",
    "ap-south-2": "772153158452",
    "ap-southeast-3": "907027046896",
    "ap-southeast-4": "457447274322",
    "ap-southeast-5": "550225433462",
    "ap-southeast-6": "633930458069",
    "ap-southeast-7": "590183813437",
    "ca-west-1": "204538143572",
    "cn-north-1": "727897471807",
    "cn-northwest-1": "727897471807",
    "eu-central-2": "380420809688",
    "eu-isoe-west-1": "371248457586",
    "eu-south-1": "692866216735",
    "eu-south-2": "503227376785",
    "eusc-de-east-1": "204133271717",
    "il-central-1": "780543022126",
    "me-central-1": "914824155844",
    "me-south-1": "217643126080",
    "me-west-1": "124382933778",
    "mx-central-1": "637423239942",
    "us-gov-east-1": "446045086412",
    "us-gov-west-1": "442386744353",
    "us-iso-east-1": "886529160074",
    "us-isob-east-1": "094389454867",
    "us-isof-east-1": "303241398832",
    "us-isof-south-1": "454834333376",
}


def image_account(scope: Construct) -> str:
    """The account for the stack's region; of a stack without a region CloudFormation looks it up when it deploys.

    Raises WrongContext for a region of which the SDK knows no images: its jobs could not start.
    """
    region = core.Stack.of(scope).region
    if core.Token.is_unresolved(region):
        accounts = {name: {"account": account} for name, account in IMAGE_ACCOUNTS.items()}
        return core.CfnMapping(scope, "ImageAccounts", mapping=accounts).find_in_map(region, "account")
    if region not in IMAGE_ACCOUNTS:
        known = ", ".join(sorted(IMAGE_ACCOUNTS))
        raise WrongContext(f"region is {region!r}, expected one with SageMaker's PyTorch images: {known}")
    return IMAGE_ACCOUNTS[region]
