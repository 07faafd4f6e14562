"""The outside, behind the ports: DynamoDB, S3, a folder, ONNX, memory."""
