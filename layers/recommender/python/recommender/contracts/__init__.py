"""What every other part agrees on. Standard library only, so that CDK, DAGs and jobs can import it too."""
