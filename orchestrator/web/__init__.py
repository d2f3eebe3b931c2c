"""What is served over HTTP: run folders as live pages, and where the service calls back."""
