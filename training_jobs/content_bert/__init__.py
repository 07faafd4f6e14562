"""Content model: a pretrained sentence encoder, tuned on the catalogue, for items and for search queries."""
