"""Tables larger than memory: a Parquet file or folder, read in row groups as often as it is needed."""

from __future__ import annotations

from svgp.data.streamed.load import load_streamed, should_stream
from svgp.data.streamed.rows import ParquetRows

__all__ = ["ParquetRows", "load_streamed", "should_stream"]
