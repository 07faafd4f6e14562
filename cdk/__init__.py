"""The AWS side as code: four stacks composed from few constructs, synthesised without account, Docker or network."""
