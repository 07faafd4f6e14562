"""The only way to make each kind of resource; stacks compose these."""
