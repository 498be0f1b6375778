"""Controls of a request and its scene: pins, boosts, burials and exclusions.

`active` selects the controls that apply now to a request (`conditions`), `step` applies them to
candidates and reports their effects, `moves` applies them to an order that the ranker did not make.
The values are in `gateway.model.controls`, because scenes contain them.

Excluded products are part of the request's scope and are never requested. Pinned products are added
to the candidates if the scope permits them. The ranker moves products, because only it sees all of
them.
"""
