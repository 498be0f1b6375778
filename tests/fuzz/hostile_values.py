"""Values that are likely to break a server."""

from __future__ import annotations

HOSTILE = (
    *("", " ", "\0", "a\0b", "\t\r\n", "\x1b[31m", "\x7f", "\u0085", "\ufeff", "\ufffe", "\u200b"),
    *("\u202eabc", "שלום", "e\u0301", "ﬁ", "\N{GRINNING FACE}" * 4, "\U0010ffff", "I\u0307", "ß"),
    *("' OR 1=1 --", '"; DROP TABLE products; --', "\\", "%s%n%x", "{0.__class__}", "${jndi:x}"),
    *("../../etc/passwd", "C:\\nul", "NaN", "-1", "1e309", "null", "true", "[]", "{}", "<b>x</b>"),
    *("category = ", "a > b > c", " > ", "*", "?", "_", "%"),
)
LENGTHS = (63, 64, 65, 127, 128, 129, 256, 257, 512, 513, 1_024, 1_025, 2_049, 4_097, 16_385)
"""Lengths at and beyond the contract's limits on texts."""
URIS = (
    *("http://127.0.0.1:1/a.jpg", "file:///etc/passwd", "http://[::1]/", "https://example.invalid"),
    *("http://user:pass@example.invalid/", "ftp://example.invalid/a", "http://", "//x", "data:,x"),
    *("http://0x7f000001/", "http://169.254.169.254/latest", "javascript:alert(1)"),
)
HEADERS = ("traceparent", "tracestate", "x-request-id", "baggage", "accept-language", "x-a")
HEADER_VALUES = (
    *(
        "",
        "-",
        "00-" + "0" * 32 + "-" + "0" * 16 + "-01",
        "00-" + "f" * 32 + "-" + "f" * 16 + "-ff",
    ),
    *("a" * 4_000, "a=b," * 200, "%00%0a", "\\", '{"a":', "99-x-y-z", "' or 1 == 1"),
)
SCENES = (
    *("", "drop_seen = true", "most_candidates = -1", "[diversity]\nbrand_cap = 1", "a" * 401),
    *("[parts_with_signals]\nvisual = nan", "[parts_with_signals]\nvisual = 0", "[[[", "x = 1e999"),
    *("[branches]\nco_view = 1.0\n[parts_with_signals]\nco_view = 2.0", "other_categories = 1"),
    '[[controls]]\nname = "a"\nkind = "bury"\nfilter = "brand = A AND ("',
    '[[controls]]\nname = "a"\nkind = "pin"\nproduct_ids = ["kept-1"]\nplace = 1',
)
"""Files of scenes, good and bad."""
INTS = (0, 1, -1, 2, 7, 20, 200, 201, 1_000, 1_001, 10**6, 2**31 - 1, -(2**31), 2**63 - 1, -(2**63))
FLOATS = (0.0, -0.0, 1.0, -1.0, 0.5, 5.0, 100.0, 5e-324, 1e38, -1e308)
SPECIAL = (float("nan"), float("inf"), float("-inf"))
