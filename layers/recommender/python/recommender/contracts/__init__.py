"""The contracts between all parts. Standard library only, so that CDK, DAGs and jobs can import them too."""
