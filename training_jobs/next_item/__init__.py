"""The session encoder, and the network that ranks the next item of a visit."""
