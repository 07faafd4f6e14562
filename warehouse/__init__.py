"""The warehouse: Snowflake SQL from raw to exports, and the small runner that loads, runs and unloads it.

Its commands run as they are printed, from the project's folder: where nothing else brings the package `recommender`,
it is found in the source of its Lambda layer.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

LAYER = Path(__file__).resolve().parents[1] / "layers" / "recommender" / "python"
if find_spec("recommender") is None and LAYER.is_dir():
    sys.path.append(str(LAYER))
