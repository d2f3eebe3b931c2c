"""What is served over HTTP to others: where the service calls back."""
