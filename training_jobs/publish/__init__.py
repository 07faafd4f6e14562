"""Publishing: the gate, the manifest, the upload and the flip of the pointer."""
