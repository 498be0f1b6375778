"""Controls of a request and its scene: pins, boosts, burials and exclusions.

`active` says which controls are active now, `step` applies them to candidates and says what became
of each, `moves` applies them to an order that the ranker did not make. The values are
`gateway.model.controls`, as scenes are made of them.

Excluded products are left out by the request's scope and are never asked for. Pinned products join
the candidates, as far as the scope passes them. The ranker moves products, as only it sees all.
"""
