"""The files of a catalog's backup, independent of engine and store.

`tables/<name>.parquet` and `photos.tar`, which has each photo as `photos/<sha256>` in the order of
their names. The manifest holds the hashes of all files (servicekit.artefacts); besides, the table
of photos holds each photo's SHA-256, which is its name, and its size.

The Parquet files are neither compressed nor encoded by dictionary: photos and vectors don't shrink,
and so no file needs more memory to read than it shows.
"""
