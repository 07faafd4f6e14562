"""The session encoder and the network that ranks what a visit looks at next."""
