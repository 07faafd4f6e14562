"""The recommender: one package for serving, experiments and the contracts that training shares.

contracts/   events, tables, placements, artifacts, settings, routes (standard library only)
domain/      session, prior, posterior, candidates, features, ranking, page, experiments (numpy only, pure)
use_cases/   recommend, collect events, assign, count outcomes, reallocate
ports.py     what the use cases need from the outside
adapters/    DynamoDB, S3, folder, ONNX, memory
errors.py    the error tree
"""
