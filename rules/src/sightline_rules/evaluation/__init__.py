"""The one evaluator of filters: whose products pass, computed on arrays.

Every service gives it columns of its own: arrays of numbers, coded texts, or facts of single
products. Its work comes in small steps, so that a caller bounds how long it runs at a time, and
can stop it (`Work`).
"""
