"""The console: pages for people, served beside the calls for systems."""
