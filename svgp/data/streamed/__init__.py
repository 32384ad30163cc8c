"""Tables larger than memory: a Parquet file or folder, read in row groups as often as it is needed."""

from __future__ import annotations

from svgp.data.streamed.convert import as_parquet, delimited_files
from svgp.data.streamed.load import load_streamed, should_stream
from svgp.data.streamed.rows import ParquetRows

__all__ = ["ParquetRows", "as_parquet", "delimited_files", "load_streamed", "should_stream"]
