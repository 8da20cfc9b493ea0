"""What is shown of each kind of result, one module per page."""
