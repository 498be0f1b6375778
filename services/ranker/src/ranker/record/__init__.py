"""The record: what the ranker knows, in SQL. Each module here owns some of the tables.

events     what people did
popularity how popular products are
attributes what shoppers gave of themselves
aliases    which visitors are users
purges     what is deleted
answers    what was answered
models     which models there are, and which one serves
keys       which key the pseudonyms were made with
tables     the schema; migrations/ brings a store to it
"""
