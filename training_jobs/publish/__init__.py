"""The publish job: gate, manifest, upload, and the flip of the pointer."""
