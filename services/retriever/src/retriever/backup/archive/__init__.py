"""The files of a catalog's backup, which no engine owns.

`tables/<name>.parquet` and `photos.tar`, which has each photo as `photos/<sha256>` in the order of
their names. The manifest vouches for all of them (servicekit.backups); besides, the table of photos
holds each photo's SHA-256, which is its name, and its size.

The Parquet files are neither compressed nor encoded by dictionary: photos and vectors don't shrink,
and so no file needs more memory to read than it shows.
"""
