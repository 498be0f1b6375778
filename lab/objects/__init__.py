"""Made photos of shelves with known boxes, and the fit of the head that finds objects in photos."""
