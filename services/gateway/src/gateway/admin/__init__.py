"""What operators ask: status, merged lists, retiring spaces."""
