"""What is known of shoppers and products, for people to read."""
