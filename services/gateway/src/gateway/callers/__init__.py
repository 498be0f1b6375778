"""Who calls: tokens, by keys that an operator wrote down or by an identity provider's signature."""
