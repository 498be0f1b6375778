"""Tables of products, events and offers in files, read row by row: a file larger than memory is
fine, and a bad row is reported by its number and never ends the rest.

model     what a file is read into, and what is wrong with it
delimited CSV, TSV and similar; lines JSON Lines; parquet Parquet (needs pyarrow); folder photos
opening   picks the reader by the file's name
cells     a cell's text into a value, or why not
products, events, offers: a row into the contract's message
rejected  the rows that were refused, in a file that can be fixed and read again
dumping   a row's values as JSON that reads back as what they were
seen      which ids a file has had so far, on disk
"""
