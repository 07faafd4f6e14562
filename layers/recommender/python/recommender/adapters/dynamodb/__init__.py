"""The ports on DynamoDB, over boto3's low-level client: packed binary attributes, conditional writes."""
