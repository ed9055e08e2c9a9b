"""The lines about an answer whose rest comes as a file."""

from __future__ import annotations

REST_IN_FILE = "_(The rest of my answer is in the file below.)_"
FILE_TITLE = "The rest of my answer"
