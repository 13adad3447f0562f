"""Input: columns, ids and keys of candidates, from arrays, frames and Parquet files."""
