"""Long work as rows of a store that workers claim."""
