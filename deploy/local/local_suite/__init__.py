"""All services of Sightline on one machine, as processes of one supervisor, on 127.0.0.1.

    python -m local_suite up | down | run | status

Tests and the demo use `local_suite.suite.Suite`.
"""
